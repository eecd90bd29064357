"""Evaluation job: candidate, champion and baselines on the test split of a prepared run.

`python -m ml.ncf.jobs.evaluate --model-package-group NCF-dev` reads, below `--input`, the candidate's
`model/model.tar.gz` and one folder per channel of the prepared run (`ml.contract.TRAINING_CHANNELS`), and
writes `evaluation.json` for the quality gate and the model registry, and `popular.json`, the list that the
API answers with when the endpoint does not.

Protocol (He et al. 2017, section 4.1): the held-out item of each user among 99 items, drawn uniformly with a
fixed seed from those that the user has in no split. A user with fewer such items is ranked among all of them,
and one without any is left out; the report has the numbers. Ties count against the model. Models are loaded
from their artifacts, as in serving. A candidate with scores that are not finite fails the job; a champion
with such scores, or that cannot be read, counts as absent, with a warning in the report: the registry, S3 or
the artifact of another model must not stop retraining. `deploy_model` copies the warnings to the package.
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
import torch
from torch import Tensor

from ml.contract import (
    EVALUATION_FILE,
    MODEL_ARCHIVE,
    N_TEST_NEGATIVES,
    POPULAR_LIST_FILE,
    RANDOM_SPLIT,
    SCHEMA_VERSION,
)
from ml.ncf.data.interactions import DataError, Interactions
from ml.ncf.data.prepared_run import PreparedRun, read_run
from ml.ncf.evaluation import baselines, champion, metrics
from ml.ncf.evaluation.evaluation_set import SCORING_BATCH, EvaluationSet
from ml.ncf.evaluation.popular_list import popular_list
from ml.ncf.model import artifact
from ml.ncf.model.finite import NotFiniteError, require_finite
from ml.ncf.training.console import log, log_error
from ml.settings.containers import PROCESSING_EVALUATION, PROCESSING_INPUT
from ml.settings.metrics import CUTOFF

CATALOGUE_USERS = 20_000  # users of the whole-catalogue metrics: standard error of HR 0.003


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate and write the report; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.ncf.jobs.evaluate", description="Evaluate a model.", allow_abbrev=False
    )
    parser.add_argument("--input", type=Path, default=Path(PROCESSING_INPUT))
    parser.add_argument("--output", type=Path, default=Path(PROCESSING_EVALUATION))
    parser.add_argument("--model-package-group", help="group of the champion (default: no champion)")
    parser.add_argument("--seed", type=int, default=42, help="seed of the sampled negatives")
    arguments = parser.parse_args(argv)
    try:
        run = read_run(lambda channel: arguments.input / channel)
        with tempfile.TemporaryDirectory() as workspace:
            group = arguments.model_package_group
            current, warnings = find_champion(group, Path(workspace)) if group else (None, [])
            report = evaluate(
                arguments.input, run, Path(workspace), current, arguments.seed, warnings=warnings
            )
        text = json.dumps(report, indent=2, allow_nan=False)
    # ValueError: of data, manifest and artifact, and of a number that is not finite
    except (ValueError, OSError) as error:
        log_error(f"evaluation: {error}")
        return 1
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / EVALUATION_FILE).write_text(f"{text}\n", encoding="utf-8")
    (arguments.output / POPULAR_LIST_FILE).write_text(f"{json.dumps(popular_list(run))}\n", encoding="utf-8")
    for warning in report["warnings"]:
        log(f"warning: {warning}")
    for name in ("model", "popularity", "item_knn"):
        if report[name] is not None:
            values = {key.removesuffix(f"_at_{CUTOFF}"): value for key, value in report[name].items()}
            log(f"{name}: {metrics.log_line(values)}")
    return 0


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
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """The content of `evaluation.json`.

    Args:
        folder: holds the candidate's `model/model.tar.gz`.
        run: the prepared run of the candidate.
        workspace: an empty folder for the unpacked candidate.
        current: the champion; None if there is none.
        seed: of the sampled negatives.
        warnings: for the report, in addition to those of the evaluation.

    Raises:
        DataError: no user has an unseen item, or the candidate was not trained on this run.
        ml.ncf.model.artifact.ArtifactError: the candidate cannot be loaded.
        ml.ncf.model.finite.NotFiniteError: a score of the candidate is not finite.
    """
    artifact.unpack(folder / "model" / MODEL_ARCHIVE, workspace / "candidate")
    candidate = artifact.read(workspace / "candidate")
    evaluation_set = EvaluationSet.sampled(
        run.splits["test"], run.seen(), N_TEST_NEGATIVES, np.random.default_rng(seed)
    )
    known = run.splits["train"].union(run.splits["validation"])
    model = metrics.quality(scores_by_id(candidate, run, evaluation_set), CUTOFF)
    report: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "run_id": run.run_id,
        "protocol": {
            "split": "test",
            "negatives": N_TEST_NEGATIVES,
            "fewest_negatives": evaluation_set.fewest_negatives,
            "n_users_with_fewer_negatives": evaluation_set.n_with_fewer_negatives,
            "n_users_left_out": evaluation_set.n_left_out,
            "negatives_from": "items that the user has in no split, uniformly",
            "ties": "against the model",
            "k": CUTOFF,
            "seed": seed,
            "n_users": len(evaluation_set.users),
        },
        "model": model,
        "popularity": metrics.quality(baselines.popularity(known, evaluation_set), CUTOFF),
        "item_knn": _item_knn(known, evaluation_set),
        "whole_catalogue": whole_catalogue(candidate, run),
        "champion": None,
        "change": dict.fromkeys(model, 0.0),
        "warnings": [*warnings, *_random_split(run), *_few_negatives(evaluation_set)],
    }
    if current is not None:
        _compare(report, current, run, evaluation_set)
    return report


def _compare(
    report: dict[str, Any], current: champion.Champion, run: PreparedRun, evaluation_set: EvaluationSet
) -> None:
    """Add the champion's metrics, and the candidate's change from them, to the report."""
    try:
        quality = metrics.quality(scores_by_id(current.artifact, run, evaluation_set), CUTOFF)
    except NotFiniteError as error:
        # First: the package's metadata has room for the beginning of the warnings only.
        report["warnings"].insert(0, f"the champion counts as absent: {current.model_package_arn}: {error}")
        return
    report["champion"] = {"model_package_arn": current.model_package_arn, **quality}
    report["change"] = {name: report["model"][name] - quality[name] for name in quality}


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


def _item_knn(known: Interactions, evaluation_set: EvaluationSet) -> dict[str, float] | None:
    """Metrics of item-kNN; None if it would take longer than about a minute."""
    if not baselines.is_affordable(known):
        return None
    return metrics.quality(baselines.ItemKNN.fit(known).scores(evaluation_set), CUTOFF)


def whole_catalogue(model: artifact.Artifact, run: PreparedRun) -> dict[str, float]:
    """Metrics of a model over all items that a user has in neither train nor validation.

    At most `CATALOGUE_USERS` users are evaluated, evenly spaced in the order of their indices.

    Raises:
        DataError: the items of the model are not those of the run.
        ml.ncf.model.finite.NotFiniteError: a score is not finite.
    """
    if model.model is None or model.data is None:
        raise DataError(f"model {model.version} has no weights")
    if model.data.item_ids.tolist() != run.item_ids.tolist():
        raise DataError(f"model {model.version} was not trained on the items of run {run.run_id}")
    seen = run.splits["train"].union(run.splits["validation"])
    test = run.splits["test"]
    totals = metrics.CatalogueMetrics(torch.from_numpy(run.popularity), CUTOFF)
    step = max(1, len(test) // CATALOGUE_USERS)
    chosen = np.arange(0, len(test), step)
    for batch in np.array_split(chosen, max(1, len(chosen) // SCORING_BATCH)):
        users, held_out = test.users[batch].astype(np.int64), test.indices[batch].astype(np.int64)
        with torch.no_grad():
            scores = model.model.score_catalogue(torch.from_numpy(users)).float()
        require_finite(scores, "scores")
        rows, items = seen.gather(users)
        scores[torch.from_numpy(rows), torch.from_numpy(items.astype(np.int64))] = -torch.inf
        totals.add(scores, torch.from_numpy(held_out))
    return totals.result()


def scores_by_id(model: artifact.Artifact, run: PreparedRun, evaluation_set: EvaluationSet) -> Tensor:
    """Scores of a model for an evaluation set of the run: (C, 1 + N).

    Users and items are matched by id, because indices differ between runs. The items of a user that is not in
    the model are ranked by the model's popularity, as in serving. An item that is not in the model cannot be
    recommended and gets -inf.

    Raises:
        DataError: the artifact has no weights.
        ml.ncf.model.finite.NotFiniteError: a score is not finite.
    """
    if model.model is None or model.data is None:
        raise DataError(f"model {model.version} has no weights")
    known, users_known, items_known = evaluation_set.renumbered(
        torch.from_numpy(model.data.user_ids.find_all(run.user_ids)),
        torch.from_numpy(model.data.item_ids.find_all(run.item_ids)),
    )
    popularity = torch.from_numpy(model.data.popularity)[known.items].float()
    scores = torch.where(users_known[:, None], known.scores(model.model), popularity)
    return evaluation_set.masked(torch.where(items_known, scores, -torch.inf))


if __name__ == "__main__":
    sys.exit(main())
