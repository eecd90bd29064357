"""Training job in SageMaker script mode: `python -m ml.ncf.jobs.train --epochs 10 --lr 0.001 ...`.

SageMaker's PyTorch container sets the folders in the environment: the prepared run in `SM_CHANNEL_<NAME>`,
one channel per split and per file (`ml.contract.TRAINING_CHANNELS`); `SM_MODEL_DIR` for the artifact;
`SM_OUTPUT_DATA_DIR` for other output. SageMaker sets no variable for the folder of checkpoints, so that the
pipeline passes it (`--checkpoint-dir`). The default hyperparameters are those of the AWS post; `--preset`
selects another set, and `--print-plan` prints the phases of the training and exits.

The log starts with the plan and has one line per epoch with the validation metrics, which the regexes of
`ml.settings.metrics` parse. A failed job exits with status 1 (2: its arguments; 143: stopped), writes no
artifact, and writes one line to stderr and to the file that SageMaker reads as the failure reason.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ml.contract import ENV_CODE_VERSION, ENV_RUN_ID, N_TEST_NEGATIVES
from ml.manifest import ManifestError
from ml.ncf.data.interactions import DataError
from ml.ncf.data.prepared_run import PreparedRun, read_run
from ml.ncf.evaluation import baselines, metrics
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.jobs import packages
from ml.ncf.jobs.exit_reason import JobExit, JobParser, stop_on_sigterm
from ml.ncf.model import artifact
from ml.ncf.model.base import RankingModel
from ml.ncf.model.item_index import require_library
from ml.ncf.training import report
from ml.ncf.training.checkpoint import CheckpointFolder
from ml.ncf.training.console import log
from ml.ncf.training.distributed import process_group
from ml.ncf.training.loop import Epoch, TrainingError, ignore_epoch
from ml.ncf.training.plan import plan_text, training_plan
from ml.ncf.training.runner import Trained, run_plan
from ml.ncf.training.session_map import fit_session_map
from ml.ncf.training.training_data import TrainingData
from ml.settings import hyperparameters
from ml.settings.hyperparameters import Hyperparameters

SOURCE_ROOT = Path(__file__).resolve().parents[3]
VALIDATION_LIMIT = 50_000  # validation pairs that are ranked after each epoch: standard error of HR 0.002
REPORT_FILE = "report.html"
SESSION_STREAM = 1_000  # of the seed; the phases of training have the first numbers


def main(argv: Sequence[str] | None = None) -> int:
    """Train on the prepared run of the environment's channels; returns the exit status."""
    arguments = _arguments(argv)
    expected = (DataError, ManifestError, TrainingError, ValueError, OSError)
    with JobExit("training", failure_file(arguments.output_data_dir), expected) as job:
        train(arguments)
    return job.status


def train(arguments: argparse.Namespace) -> None:
    """Train and write report and artifact, or print the plan.

    Raises:
        DataError, ManifestError, TrainingError, ValueError, OSError: the message says what to change.
    """
    settings = hyperparameters.from_arguments(arguments)
    plan = training_plan(settings)
    if arguments.print_plan:
        log(plan_text(plan))
        return
    packages.add_to_path()
    run = read_run(channel)
    require_library(run.n_items)  # before the training, which takes hours
    check_trainable(run, settings)
    data = training_data(run, settings)
    with process_group() as process:
        is_first = process.rank == 0
        if is_first:
            log_start(arguments.run_id, run, process.world_size)
            log(plan_text(plan))
        on_epoch = log_epoch if is_first else ignore_epoch
        trained = run_plan(plan, data, rank=process, checkpoints=checkpoints_of(arguments), on_epoch=on_epoch)
        if is_first:
            for note in trained.notes:
                log(note)
            write_report_or_warn(arguments.output_data_dir, run, settings, data, trained)
            write_artifact(arguments, run, settings, data, trained)


def failure_file(output_data_dir: Path) -> Path:
    """The file that SageMaker reads as the failure reason."""
    return Path(output_data_dir).parent / "failure"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    output_data_dir = os.environ.get("SM_OUTPUT_DATA_DIR", "/opt/ml/output/data")
    parser = JobParser(
        prog="python -m ml.ncf.jobs.train",
        description="Train a model.",
        reason_file=failure_file(Path(output_data_dir)),
    )
    parser.add_argument("--print-plan", action="store_true", help="print the training plan and exit")
    hyperparameters.add_arguments(parser)
    paths = parser.add_argument_group("paths and versions")
    paths.add_argument("--model-dir", type=Path, default=os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
    paths.add_argument("--output-data-dir", type=Path, default=output_data_dir)
    paths.add_argument("--checkpoint-dir", type=Path, help="resume from it and write to it; default: neither")
    paths.add_argument("--run-id", default=os.environ.get(ENV_RUN_ID), help="default: that of the manifest")
    paths.add_argument("--code-version", default=os.environ.get(ENV_CODE_VERSION))
    return parser.parse_args(argv)


def checkpoints_of(arguments: argparse.Namespace) -> CheckpointFolder | None:
    """The folder of checkpoints; a checkpoint of another version of the code is not resumed."""
    if arguments.checkpoint_dir is None:
        return None
    return CheckpointFolder(arguments.checkpoint_dir, {"code version": arguments.code_version})


def channel(name: str) -> Path:
    """The folder of an input channel.

    Raises:
        DataError: the job has no such channel.
    """
    variable = f"SM_CHANNEL_{name.upper()}"
    folder = os.environ.get(variable)
    if not folder or not Path(folder).is_dir():
        raise DataError(f"channel {name!r} is missing: {variable} is {folder or 'not set'}")
    return Path(folder)


def check_trainable(run: PreparedRun, settings: Hyperparameters) -> None:
    """Check that a list of `top_k` items can leave an item out.

    Raises:
        ValueError: top_k exceeds the number of negatives.
        DataError: there are too few items.
    """
    if settings.top_k > N_TEST_NEGATIVES:
        raise ValueError(
            f"top_k is {settings.top_k}: at most {N_TEST_NEGATIVES}, the number of negatives per item"
        )
    if run.n_items < settings.top_k + 1:
        raise DataError(
            f"{run.n_items} items: at least {settings.top_k + 1} are needed to rank {settings.top_k}"
        )


def training_data(run: PreparedRun, settings: Hyperparameters) -> TrainingData:
    """Train and validation of a run, and the validation pairs among sampled negatives.

    The negatives may be test items of the user: nothing that is selected depends on the test split. With
    times, an item that had no event yet is not among them.
    """
    known = run.splits["train"].union(run.splits["validation"])
    validation = EvaluationSet.sampled(
        run.splits["validation"],
        known,
        N_TEST_NEGATIVES,
        np.random.default_rng(settings.seed),
        limit=VALIDATION_LIMIT,
        existing_only=known.times is not None,
    )
    return TrainingData(train=run.splits["train"], held_out=run.splits["validation"], validation=validation)


def log_start(run_id: str | None, run: PreparedRun, world_size: int) -> None:
    """Log the size of the run, and a warning if the job's run id is not that of the manifest."""
    if run_id and run_id != run.run_id:
        log(f"warning: the manifest is of run {run.run_id}, and the model is trained as run {run_id}")
    log(
        f"run {run.run_id}: {run.n_users} users, {run.n_items} items, "
        f"{len(run.splits['train'])} pairs; {world_size} processes"
    )


def log_epoch(epoch: Epoch, model: RankingModel) -> None:
    """Log an epoch; without validation it has no metrics, and without training no loss."""
    del model
    quality = f"{metrics.log_line(epoch.metrics)} " if epoch.metrics else ""
    loss = "" if math.isnan(epoch.loss) else f"Loss={epoch.loss:.4f}; "
    log(
        f"{quality}{loss}{epoch.phase}, epoch {epoch.number}, "
        f"{epoch.seconds:.1f} s, peak memory {epoch.peak_memory_mib:.0f} MiB"
    )


def write_report_or_warn(
    folder: Path, run: PreparedRun, settings: Hyperparameters, data: TrainingData, trained: Trained
) -> None:
    """Write the report; without room for it, the model is what counts."""
    try:
        write_report(folder, run, settings, data, trained)
    except OSError as error:
        log(f"warning: {folder / REPORT_FILE}: cannot be written: {error}")


def write_report(
    folder: Path, run: PreparedRun, settings: Hyperparameters, data: TrainingData, trained: Trained
) -> None:
    """Write report.html: curves per epoch, and validation metrics of the model, popularity and item-kNN."""
    k = settings.top_k
    quality = {"model": metrics.with_cutoff(trained.best.metrics, k)}
    quality["popularity"] = metrics.quality(baselines.popularity(data.train, data.validation), k)
    if baselines.is_affordable(data.train):
        scores = baselines.ItemKNN.fit(data.train).scores(data.validation)
        quality["item_knn"] = metrics.quality(scores, k)
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{settings.architecture}, run {run.run_id}"
    page = report.render(title, trained.epochs, quality, settings, trained.notes)
    (folder / REPORT_FILE).write_text(page, encoding="utf-8")


def write_artifact(
    arguments: argparse.Namespace,
    run: PreparedRun,
    settings: Hyperparameters,
    data: TrainingData,
    trained: Trained,
) -> None:
    """Write the artifact to the model folder."""
    fitted_on = data.all_pairs if settings.refit else data.train
    session = fit_session_map(
        trained.model, fitted_on, data.validation, np.random.default_rng([settings.seed, SESSION_STREAM])
    )
    seen = run.seen()
    best = trained.best
    run_id = arguments.run_id or run.run_id
    artifact.write(
        arguments.model_dir,
        trained.model,
        artifact.ServingData.of(
            user_ids=run.user_ids,
            item_ids=run.item_ids,
            seen_indptr=seen.indptr,
            seen_indices=seen.indices,
            popularity=run.popularity,
        ),
        {
            "run_id": run_id,
            "model_version": run_id,
            "code_version": arguments.code_version,
            "hyperparameters": settings.as_dict(),
            "notes": list(trained.notes),
            "metrics": {
                "protocol": "validation, sampled negatives",
                "stage": best.phase,  # the phase is called stage in the format of model.json
                "epoch": best.number,
                **metrics.with_cutoff(best.metrics, settings.top_k),
                "loss": None if math.isnan(best.loss) else best.loss,  # None: nothing was trained
            },
        },
        SOURCE_ROOT,
        session=session,
    )


if __name__ == "__main__":
    stop_on_sigterm()
    sys.exit(main())
