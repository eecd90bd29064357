"""Evaluation job: candidate, champion and baselines on the test split of a prepared run.

`python -m ml.ncf.jobs.evaluate --model-package-group NCF-dev` reads, below `--input`, the candidate's
`model/model.tar.gz` and one folder per channel of the prepared run (`ml.contract.TRAINING_CHANNELS`), and
writes `evaluation.json` for the quality gate and the model registry, `evaluation.html` for people, and
`popular.json`, the list that the API answers with when the endpoint does not.

Both protocols of `ml.ncf.evaluation.held_out`, with bootstrap intervals and per segment of users. A user with
fewer than 99 unseen items is ranked among all of them, and one without any is left out; the report has the
numbers. Ties count against the model. Models are loaded from their artifacts, as in serving. A candidate with
scores that are not finite fails the job; a champion with such scores, or that cannot be read, counts as
absent, with a warning in the report: the registry, S3 or the artifact of another model must not stop
retraining. `deploy_model` copies the warnings to the package.

The section `served` is the monitoring of the champion (`ml.ncf.evaluation.served_model`); with `--stage` its
values are published to CloudWatch.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ml.contract import (
    EVALUATION_FILE,
    MODEL_ARCHIVE,
    N_TEST_NEGATIVES,
    POPULAR_LIST_FILE,
    RANDOM_SPLIT,
    SCHEMA_VERSION,
)
from ml.ncf.data.interactions import DataError
from ml.ncf.data.prepared_run import PreparedRun, read_run
from ml.ncf.evaluation import champion, evaluation_page, metrics, serving_checks
from ml.ncf.evaluation.bootstrap import CONFIDENCE, N_RESAMPLES
from ml.ncf.evaluation.comparison import CANDIDATE, CHAMPION, CHANGE
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.evaluation.gate import decide
from ml.ncf.evaluation.held_out import HeldOut
from ml.ncf.evaluation.matched_model import MatchedModel
from ml.ncf.evaluation.popular_list import popular_list
from ml.ncf.evaluation.served_model import served_report
from ml.ncf.jobs import packages, published_metrics
from ml.ncf.jobs.exit_reason import JobExit, JobParser, stop_on_sigterm
from ml.ncf.model import artifact
from ml.ncf.model.finite import NotFiniteError
from ml.ncf.training.console import log
from ml.settings.containers import PROCESSING_EVALUATION, PROCESSING_INPUT, PROCESSING_MESSAGE
from ml.settings.gate import GateSettings
from ml.settings.metrics import CUTOFF

MESSAGE_FILE = Path(PROCESSING_MESSAGE)
PAGE_FILE = "evaluation.html"
RETRIEVAL_STREAM = 3  # of the seed; `ml.ncf.evaluation.held_out` has the streams before
POPULARITY, ITEM_KNN = "popularity", "item_knn"  # keys of the baselines in the report


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate and write the report; returns the exit status."""
    parser = JobParser(
        prog="python -m ml.ncf.jobs.evaluate", description="Evaluate a model.", reason_file=MESSAGE_FILE
    )
    parser.add_argument("--input", type=Path, default=Path(PROCESSING_INPUT))
    parser.add_argument("--output", type=Path, default=Path(PROCESSING_EVALUATION))
    parser.add_argument("--model-package-group", help="group of the champion (default: no champion)")
    parser.add_argument("--serving-instance-type", help="of the endpoint, which the model has to fit")
    parser.add_argument("--gate", help="JSON of the stage's quality gate (default: no decision)")
    parser.add_argument("--stage", help="whose metrics are published to CloudWatch (default: none)")
    parser.add_argument("--seed", type=int, default=42, help="seed of samples, negatives and intervals")
    arguments = parser.parse_args(argv)
    # ValueError: of data, manifest, gate and artifact, and of a number that is not finite
    with JobExit("evaluation", MESSAGE_FILE, (ValueError, OSError)) as job:
        write_evaluation(arguments)
    return job.status


def write_evaluation(arguments: argparse.Namespace) -> None:
    """Evaluate, and write the files of the job.

    Raises:
        ValueError, OSError: the message says what is wrong; nothing is written.
    """
    packages.add_to_path()
    gate = GateSettings.from_json(arguments.gate) if arguments.gate else None
    run = read_run(lambda channel: arguments.input / channel)
    with tempfile.TemporaryDirectory() as name:
        workspace, group = Path(name), arguments.model_package_group
        current, warnings = find_champion(group, workspace) if group else (None, [])
        report = evaluate(
            arguments.input,
            run,
            workspace,
            current,
            arguments.seed,
            gate=gate,
            warnings=warnings,
            serving_instance_type=arguments.serving_instance_type,
        )
    if arguments.stage and (warning := published_metrics.publish(report["served"], arguments.stage)):
        report["warnings"].append(warning)
    files = {
        EVALUATION_FILE: json.dumps(report, indent=2, allow_nan=False),
        PAGE_FILE: evaluation_page.render(report),
        POPULAR_LIST_FILE: json.dumps(popular_list(run)),
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (arguments.output / name).write_text(f"{text}\n", encoding="utf-8")
    if report["gate"] is not None:
        log(f"gate: {report['gate']['decision']}")
    for warning in report["warnings"]:
        log(f"warning: {warning}")
    for name in (CANDIDATE, POPULARITY, ITEM_KNN):
        if report[name] is not None:
            values = {key.removesuffix(f"_at_{CUTOFF}"): value for key, value in report[name].items()}
            log(f"{name}: {metrics.log_line(values)}")


def find_champion(group: str, workspace: Path) -> tuple[champion.Champion | None, list[str]]:
    """The champion of a model package group, and a warning if it cannot be read."""
    try:
        return champion.find(group, workspace), []
    except (champion.ChampionError, artifact.ArtifactError) as error:
        return None, [f"the champion counts as absent: {error}"]


def evaluate(
    folder: Path,
    run: PreparedRun,
    workspace: Path,
    current: champion.Champion | None = None,
    seed: int = 42,
    *,
    gate: GateSettings | None = None,
    warnings: Sequence[str] = (),
    serving_instance_type: str | None = None,
) -> dict[str, Any]:
    """The content of `evaluation.json`.

    Args:
        folder: holds the candidate's `model/model.tar.gz`.
        run: the prepared run of the candidate.
        workspace: an empty folder for the unpacked candidate.
        current: the champion; None if there is none.
        seed: of the sampled negatives.
        gate: thresholds of the quality gate; None: the report has no decision.
        warnings: for the report, in addition to those of the evaluation.
        serving_instance_type: of the endpoint; None: whether the model fits is not checked.

    Raises:
        DataError: no user has an unseen item, or the candidate was not trained on this run.
        ml.ncf.model.artifact.ArtifactError: the candidate cannot be loaded.
        ml.ncf.model.finite.NotFiniteError: a score of the candidate is not finite.
    """
    artifact.unpack(folder / "model" / MODEL_ARCHIVE, workspace / "candidate")
    candidate = artifact.read(workspace / "candidate")
    require_items_of(candidate, run)
    held_out = HeldOut.of(run, seed)
    ranks = {
        CANDIDATE: held_out.rank(MatchedModel(candidate, run)),
        POPULARITY: held_out.rank_by_popularity(),
    }
    item_knn = held_out.rank_by_item_knn()
    if item_knn is not None:
        ranks[ITEM_KNN] = item_knn
    retrieval = serving_checks.retrieval_report(candidate, np.random.default_rng([seed, RETRIEVAL_STREAM]))
    serving = serving_checks.serving_report(workspace / "candidate", serving_instance_type)
    warnings = [
        *warnings,
        *serving_checks.warnings_of(retrieval, serving),
        *_random_split(run),
        *_few_negatives(held_out.sampled),
    ]
    if current is not None:
        try:
            ranks[CHAMPION] = held_out.rank(MatchedModel(current.artifact, run))
        except (NotFiniteError, DataError) as error:
            # First: the package's metadata has room for the beginning of the warnings only.
            warnings.insert(0, f"the champion counts as absent: {current.model_package_arn}: {error}")
            current = None
    served = None
    try:
        served = served_report(run, current, seed)
    except (NotFiniteError, DataError) as error:
        warnings.append(f"the model that serves was not monitored: {error}")
    sampled = held_out.sampled_report(ranks)
    if current is not None:
        sampled[CHAMPION] = {"model_package_arn": current.model_package_arn, **sampled[CHAMPION]}
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run.run_id,
        "protocol": _protocol(held_out),
        ITEM_KNN: None,
        CHAMPION: None,
        CHANGE: dict.fromkeys(sampled[CANDIDATE], 0.0),
        **sampled,
        "gate": None if gate is None else decide(sampled, held_out.expected_comparison(ranks), gate),
        "whole_catalogue": {CHAMPION: None, **held_out.catalogue_report(ranks)},
        "new_users": held_out.new_users_report(candidate),
        "served": served,
        "retrieval": retrieval,
        "serving": serving,
        "warnings": warnings,
    }


def require_items_of(model: artifact.Artifact, run: PreparedRun) -> None:
    """Raise DataError unless the catalogue of a model is that of a run."""
    if model.data is None:
        raise DataError(f"model {model.version} has no weights")
    if model.data.item_ids.tolist() != run.item_ids.tolist():
        raise DataError(f"model {model.version} was not trained on the items of run {run.run_id}")


def _protocol(held_out: HeldOut) -> dict[str, Any]:
    """The sampled protocol, and how many pairs it ranks."""
    pairs = held_out.sampled
    return {
        "split": "test",
        "negatives": N_TEST_NEGATIVES,
        "fewest_negatives": pairs.fewest_negatives,
        "n_users_with_fewer_negatives": pairs.n_with_fewer_negatives,
        "n_users_left_out": pairs.n_left_out,
        "negatives_from": "items that the user has in no split, uniformly",
        "ties": "against the model",
        "k": CUTOFF,
        "seed": held_out.seed,
        "n_users": len(pairs.users),
        "n_pairs_available": len(held_out.run.splits["test"]),
        "intervals": f"bootstrap over users, {N_RESAMPLES} resamples, {CONFIDENCE:.0%}",
    }


def _random_split(run: PreparedRun) -> list[str]:
    """A warning if the held-out events are not later than those of the training."""
    if run.split_rule != RANDOM_SPLIT:
        return []
    text = "the events have no time, so that the held-out ones are random: the evaluation is weaker than one "
    return [f"{text}on later events"]


def _few_negatives(evaluation_set: EvaluationSet) -> list[str]:
    """Warnings about users with few items to rank the held-out item among."""
    n_few, n_left_out = evaluation_set.n_with_fewer_negatives, evaluation_set.n_left_out
    n_all = len(evaluation_set.users) + n_left_out
    warnings = []
    if n_few:
        warnings.append(
            f"{n_few} of {n_all} held-out items are ranked among fewer than {N_TEST_NEGATIVES} items (the "
            f"fewest: {evaluation_set.fewest_negatives}), which are all that their users have not seen: the "
            "metrics are higher than among more"
        )
    if n_left_out:
        warnings.append(
            f"{n_left_out} of {n_all} held-out items are left out: their users have seen all items"
        )
    return warnings


if __name__ == "__main__":
    stop_on_sigterm()
    sys.exit(main())
