"""How the model that serves does on the newest day, and how that day differs from the week before (ADR 30).

The champion is scored on pairs of the newest day that are not among its seen items: these are the
interactions of its own run, so that no pair that it was trained on is scored. Items that it does not know
count as missed, and users that it does not know are ranked by popularity, as in serving.

Shapes: I items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.contract import N_TEST_NEGATIVES, RANDOM_SPLIT
from ml.ncf.data.interactions import Interactions
from ml.ncf.data.prepared_run import PreparedRun
from ml.ncf.evaluation import bootstrap, catalogue, metrics
from ml.ncf.evaluation.catalogue import CatalogueSet
from ml.ncf.evaluation.champion import Champion
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.evaluation.matched_model import MatchedModel
from ml.ncf.evaluation.popularity_shift import population_stability_index
from ml.ncf.model.serving_data import ServingData
from ml.settings.metrics import CUTOFF
from ml.settings.monitoring import MONITORED_METRICS

DAY_S = 24 * 3600
N_REFERENCE_DAYS = 7  # whole weeks: weekdays differ
MAX_PAIRS = 20_000  # standard error of HR 0.003
STREAM = 4  # of the seed; `ml.ncf.evaluation.held_out` and `ml.ncf.jobs.evaluation_report` have those before
DROP_METRIC = f"ndcg_at_{CUTOFF}"


def served_report(run: PreparedRun, champion: Champion | None, seed: int) -> dict[str, Any] | None:
    """The section `served` of `evaluation.json`: a value, or None, per key of `MONITORED_METRICS`.

    None for events without times: they have no newest day.

    Raises:
        ml.ncf.data.interactions.DataError: the champion has no weights, or every user has seen all items.
        ml.ncf.model.finite.NotFiniteError: a score of the champion is not finite.
    """
    pairs = run.seen()
    if run.split_rule == RANDOM_SPLIT or pairs.times is None:
        return None
    age = pairs.times.max() - pairs.times
    is_newest = age < DAY_S
    is_reference = ~is_newest & (age < (1 + N_REFERENCE_DAYS) * DAY_S)
    report: dict[str, Any] = {metric.key: None for metric in MONITORED_METRICS}
    report |= {"n_pairs": 0, "n_pairs_of_the_day": int(is_newest.sum()), "model_package_arn": None}
    report["popularity_shift"] = population_stability_index(
        *(_item_counts(pairs, kept) for kept in (is_newest, is_reference, ~is_newest))
    )
    if champion is None or champion.artifact.data is None:
        return report
    report["model_package_arn"] = champion.model_package_arn
    fresh = _Fresh.of(run, pairs, is_newest, champion.artifact.data)
    if not fresh.mask.any():
        return report
    report["unknown_user_share"] = float(fresh.is_unknown_user.mean())
    report["unknown_item_share"] = float(fresh.is_unknown_item.mean())
    return report | _quality(run, pairs, fresh.mask, champion, seed)


@dataclass(frozen=True, eq=False)
class _Fresh:
    """Pairs of the newest day that a model has not seen.

    Attributes:
        mask: (P,) of the run's pairs.
        is_unknown_user, is_unknown_item: (n,) of the pairs in the mask.
    """

    mask: NDArray[np.bool_]
    is_unknown_user: NDArray[np.bool_]
    is_unknown_item: NDArray[np.bool_]

    @classmethod
    def of(
        cls, run: PreparedRun, pairs: Interactions, is_newest: NDArray[np.bool_], data: ServingData
    ) -> _Fresh:
        newest = np.flatnonzero(is_newest)
        users = data.user_ids.find_all(run.user_ids)[pairs.users[newest]]
        items = data.item_ids.find_all(run.item_ids)[pairs.indices[newest]]
        n_items = len(data.popularity)
        seen_users = np.repeat(np.arange(len(data.seen_indptr) - 1), np.diff(data.seen_indptr))
        seen = seen_users * n_items + data.seen_indices  # ascending, as the rows of `seen` are
        is_seen = (users >= 0) & (items >= 0) & _contains(seen, users * n_items + items)
        mask = np.zeros(len(pairs), dtype=bool)
        mask[newest[~is_seen]] = True
        return cls(mask, users[~is_seen] < 0, items[~is_seen] < 0)


def _contains(ordered: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each key (n,) is among ascending ones, which are many more."""
    if not len(ordered):
        return np.zeros(len(keys), dtype=bool)
    return ordered[np.searchsorted(ordered, keys).clip(max=len(ordered) - 1)] == keys


def _quality(
    run: PreparedRun, pairs: Interactions, fresh: NDArray[np.bool_], champion: Champion, seed: int
) -> dict[str, Any]:
    """Metrics of the champion for the fresh pairs, in the sampled protocol; coverage of its lists."""
    rng, held_out, known = np.random.default_rng([seed, STREAM]), pairs.where(fresh), pairs.where(~fresh)
    model = MatchedModel(champion.artifact, run)
    ranked = EvaluationSet.sampled(held_out, pairs, N_TEST_NEGATIVES, rng, limit=MAX_PAIRS)
    ranks = metrics.rank_of_first(model.scores(ranked))
    values = metrics.values_of_ranks(ranks, CUTOFF)
    columns = torch.stack(list(values.values()), dim=1).numpy()
    resampled = bootstrap.resampled_means(ranked.users.numpy(), columns, rng)
    intervals = {key: bootstrap.interval(resampled[:, n]) for n, key in enumerate(values)}
    return {
        **{key: value.mean().item() for key, value in values.items()},
        "intervals": intervals,
        "n_pairs": len(ranks),
        "at_the_gate": champion.gate_metrics or None,
        "ndcg_drop": _drop(champion, intervals[DROP_METRIC]),
        "coverage": _coverage(run, held_out, known, model, rng),
    }


def _drop(champion: Champion, interval: list[float]) -> float | None:
    """How far the gate's metric is above the interval of the newest day's; 0 if it is inside or below."""
    if DROP_METRIC not in champion.gate_metrics:
        return None
    return max(0.0, champion.gate_metrics[DROP_METRIC] - interval[1])


def _coverage(
    run: PreparedRun,
    held_out: Interactions,
    known: Interactions,
    model: MatchedModel,
    rng: np.random.Generator,
) -> float:
    """Share of the catalogue that is in the list of at least one user of the newest day."""
    in_catalogue = CatalogueSet.sampled(held_out, known, rng)
    result = in_catalogue.rank(model.catalogue_scores, CUTOFF)
    taken, popularity = torch.from_numpy(in_catalogue.held_out), torch.from_numpy(run.popularity).double()
    return catalogue.list_metrics(result.lists, taken, popularity)["coverage"]


def _item_counts(pairs: Interactions, kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number of kept pairs of each item: (I,)."""
    return np.bincount(pairs.indices[kept], minlength=pairs.n_items)
