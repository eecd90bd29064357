"""The command `tune`: data to a proposal of hyperparameters in a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from local.deploy.project import load_stage
from local.errors import BadInputError, StepFailedError
from local.job_options import explain_data, replace_flags, stage_job
from local.tune.data import is_prepared_run, prepare, read_for_tuning
from local.tune.study import CONFIRMATION_SEEDS, Proposal, Report, Search, Values, code_digest
from ml.ncf.data.interactions import DataError
from ml.ncf.data.prepared_run import PreparedRun
from ml.ncf.training.loop import TrainingError
from ml.settings.fields import SettingError
from ml.settings.hyperparameters import PRESETS
from ml.settings.stage_job import StageJob

ROOT = Path(__file__).resolve().parents[2]
PRESET_FILE = "hyperparameters.yaml"
STORAGE_FILE = "studies.db"


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """Options of `tune`.

    Attributes:
        stage: whose hyperparameters the search starts from.
        data: interactions, or the folder of a prepared run.
        job_options: of the preparation job.
        preset: to start from instead of the stage's hyperparameters.
        minutes: time of the trials.
        seed: seed of the trainings and of the search.
        output: folder for the searches, the prepared runs and the result.
    """

    stage: str
    data: Path
    job_options: Sequence[str]
    preset: str | None
    minutes: float
    seed: int
    output: Path


def run(options: TuneOptions, report: Report) -> Path:
    """Search, and write the proposal; returns its file.

    Raises:
        BadInputError: the data or the stage's values cannot be used.
        StepFailedError: the preparation or every training failed.
    """
    start = starting_values(options.stage, options.preset)
    folder = options.data
    if not is_prepared_run(folder):
        flags = job_flags(options, report)
        report(f"preparing {options.data}")
        folder = prepare(options.data, flags, options.output / "prepared")
    prepared = read_for_tuning(folder)
    report(f"{prepared.n_users} users, {prepared.n_items} items, {len(prepared.splits['train'])} pairs")
    try:
        search = Search(
            prepared,
            start,
            seed=options.seed,
            storage=options.output / STORAGE_FILE,
            code=code_digest(ROOT),
            report=report,
        )
        proposal = search.run(options.minutes)
    except (DataError, SettingError) as error:
        raise BadInputError(f"{options.data}: {error}") from error
    except TrainingError as error:
        raise StepFailedError("tune", str(error)) from error
    return write(proposal, prepared, options.output)


def job_flags(options: TuneOptions, report: Report) -> list[str]:
    """Options of the preparation job: the stage's, what the job finds in the data, and those given.

    Raises:
        BadInputError: the job would refuse the data.
    """
    job = stage_job(options.stage)
    explained = explain_data(options.data, job, options.job_options)
    for line in explained.lines:
        report(line)
    return replace_flags(StageJob.read(job).arguments(), explained.options)


def starting_values(stage: str, preset: str | None) -> Values:
    """Hyperparameters of a stage, or a preset.

    Raises:
        BadInputError: there is no such preset.
    """
    if preset is not None:
        if preset not in PRESETS:
            raise BadInputError(f"preset {preset!r}: one of {', '.join(PRESETS)}")
        return {"preset": preset}
    training = json.loads(load_stage(stage, ROOT).config.get("ncf:training", "{}"))
    return dict(training.get("hyperparameters") or {})


def write(proposal: Proposal, run: PreparedRun, folder: Path) -> Path:
    """Write the proposal as the key `hyperparameters` of a stage's section `ncf:training`."""
    path = folder / PRESET_FILE
    section = yaml.safe_dump({"hyperparameters": dict(proposal.values)}, sort_keys=False)
    comment = "".join(f"# {line}\n" for line in summary(proposal, run))
    path.write_text(comment + section, encoding="utf-8")
    return path


def summary(proposal: Proposal, run: PreparedRun) -> list[str]:
    """Result of the search in sentences."""
    with_seeds = f"with {len(CONFIRMATION_SEEDS)} other seeds"
    before = f"NDCG@10 {proposal.start_ndcg:.4f} {with_seeds}"
    if proposal.is_better:
        found = f"Better than the values before: NDCG@10 {proposal.ndcg:.4f}, before {before}."
    else:
        found = f"Nothing better than the values before was found ({before}): keep them."
    data = f"{run.n_users} users, {run.n_items} items"
    return [f"Trials on the validation split of {data}: {proposal.n_trials}.", found]
