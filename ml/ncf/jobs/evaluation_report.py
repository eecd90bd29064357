"""Content of `evaluation.json`: candidate, champion and baselines on the test split of a prepared run.

Both protocols of `ml.ncf.evaluation.held_out`, with bootstrap intervals and per segment of users. A user with
fewer than 99 unseen items is ranked among all of them, and one without any is left out; the report has the
numbers. Ties count against the model. A candidate with scores that are not finite is an error; a champion
with such scores counts as absent, with a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ml.contract import MODEL_ARCHIVE, N_TEST_NEGATIVES, RANDOM_SPLIT, SCHEMA_VERSION
from ml.ncf.data.interactions import DataError
from ml.ncf.data.prepared_run import PreparedRun
from ml.ncf.evaluation import serving_checks
from ml.ncf.evaluation.bootstrap import CONFIDENCE, N_RESAMPLES
from ml.ncf.evaluation.champion import Champion
from ml.ncf.evaluation.comparison import CANDIDATE, CHAMPION, CHANGE
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.evaluation.gate import decide
from ml.ncf.evaluation.held_out import HeldOut, Ranks
from ml.ncf.evaluation.matched_model import MatchedModel
from ml.ncf.evaluation.served_model import served_report
from ml.ncf.model import artifact
from ml.ncf.model.finite import NotFiniteError
from ml.settings.gate import GateSettings
from ml.settings.metrics import CUTOFF

RETRIEVAL_STREAM = 3  # of the seed; `ml.ncf.evaluation.held_out` has the streams before
POPULARITY, ITEM_KNN = "popularity", "item_knn"  # keys of the baselines in the report

Monitor = Callable[[PreparedRun, Champion | None, int], dict[str, Any] | None]
"""Returns the section `served` for a run, its champion and a seed (`ml.ncf.evaluation.served_model`)."""


def evaluate(
    folder: Path,
    run: PreparedRun,
    workspace: Path,
    current: Champion | None = None,
    seed: int = 42,
    *,
    gate: GateSettings | None = None,
    warnings: Sequence[str] = (),
    serving_instance_type: str | None = None,
    monitor: Monitor = served_report,
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
        monitor: returns the section `served`.

    Raises:
        DataError: no user has an unseen item, or the candidate was not trained on this run.
        ml.ncf.model.artifact.ArtifactError: the candidate cannot be loaded.
        ml.ncf.model.finite.NotFiniteError: a score of the candidate is not finite.
    """
    artifact.unpack(folder / "model" / MODEL_ARCHIVE, workspace / "candidate")
    candidate = artifact.read(workspace / "candidate")
    require_items_of(candidate, run)
    held_out = HeldOut.of(run, seed)
    ranks = _ranks(held_out, MatchedModel(candidate, run))
    of_champion, problems = _ranks_of_champion(held_out, current)
    if of_champion is None:
        current = None
    else:
        ranks[CHAMPION] = of_champion
    retrieval = serving_checks.retrieval_report(candidate, np.random.default_rng([seed, RETRIEVAL_STREAM]))
    serving = serving_checks.serving_report(workspace / "candidate", serving_instance_type)
    served, problems_of_served = _served(monitor, run, current, seed)
    sampled = held_out.sampled_report(ranks)
    if current is not None:
        sampled[CHAMPION] = {"model_package_arn": current.model_package_arn, **sampled[CHAMPION]}
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run.run_id,
        "training_notes": list(candidate.info.get("notes", [])),  # earlier artifacts have none
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
        # Those about the champion first: the package's metadata has room for the beginning only.
        "warnings": [
            *problems,
            *warnings,
            *serving_checks.warnings_of(retrieval, serving),
            *_random_split(run),
            *_few_negatives(held_out.sampled),
            *problems_of_served,
        ],
    }


def _ranks(held_out: HeldOut, candidate: MatchedModel) -> dict[str, Ranks]:
    """Ranks under the candidate and the baselines."""
    ranks = {CANDIDATE: held_out.rank(candidate), POPULARITY: held_out.rank_by_popularity()}
    item_knn = held_out.rank_by_item_knn()
    return ranks if item_knn is None else {**ranks, ITEM_KNN: item_knn}


def _ranks_of_champion(held_out: HeldOut, current: Champion | None) -> tuple[Ranks | None, list[str]]:
    """Ranks under the champion, if there is one that can be scored, and a warning if it cannot."""
    if current is None:
        return None, []
    try:
        return held_out.rank(MatchedModel(current.artifact, held_out.run)), []
    except (NotFiniteError, DataError) as error:
        return None, [f"the champion counts as absent: {current.model_package_arn}: {error}"]


def _served(
    monitor: Monitor, run: PreparedRun, current: Champion | None, seed: int
) -> tuple[dict[str, Any] | None, list[str]]:
    """The section `served`, and a warning if the model that serves cannot be scored on the newest day."""
    try:
        return monitor(run, current, seed), []
    except (NotFiniteError, DataError) as error:
        return None, [f"the model that serves was not monitored: {error}"]


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
