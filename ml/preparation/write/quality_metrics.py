"""Metrics of the data quality gate, computed from the counts of a run and of the previous run.

Training and evaluation accept every run that passes the packaged expectations: a shop whose models could not
be evaluated is refused here, before two more jobs have worked on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import N_TEST_NEGATIVES
from ml.manifest import Counts
from ml.preparation.split.unseen import UnseenItems

QUARANTINED_SHARE = "quarantined_share"
POPULARITY_SHIFT = "popularity_shift"
MISSING_SHARES = tuple(f"missing_{column}_share" for column in ("user", "item", "time"))


@dataclass(frozen=True)
class RunStatistics:
    """Input of the metrics; the last two are None without a previous run."""

    counts: Counts
    unseen: UnseenItems
    previous: Counts | None
    popularity_shift: float | None


@dataclass(frozen=True)
class QualityMetric:
    """Number that is computed for a run and can have limits."""

    means: str  # definition, as written to quality.json
    value: Callable[[RunStatistics], float | None]  # None without a previous run


def _ratio(now: int, before: int | None) -> float | None:
    return None if not before else now / before


def _missing_share(column: str) -> Callable[[RunStatistics], float]:
    return lambda run: run.counts.quarantined.get(f"missing_{column}", 0) / max(1, run.counts.events_read)


METRICS: Mapping[str, QualityMetric] = {
    QUARANTINED_SHARE: QualityMetric(
        "rows that cannot be used, of all rows read",
        lambda run: sum(run.counts.quarantined.values()) / max(1, run.counts.events_read),
    ),
    **{
        f"missing_{column}_share": QualityMetric(
            f"rows quarantined for having no {column}, of all rows read", _missing_share(column)
        )
        for column in ("user", "item", "time")
    },
    "users": QualityMetric("users that are kept", lambda run: run.counts.users),
    "items": QualityMetric(
        "items that are kept; metrics are those of a list of 10, which has to leave an item out",
        lambda run: run.counts.items,
    ),
    "rankable_users": QualityMetric(
        "users with an item that they have not seen; others cannot be evaluated",
        lambda run: run.counts.users - run.unseen.n_users_without,
    ),
    "few_unseen_share": QualityMetric(
        f"users with fewer than {N_TEST_NEGATIVES} unseen items, of all users; their metrics are higher",
        lambda run: run.unseen.n_users_with_fewer / max(1, run.counts.users),
    ),
    "events_read_ratio": QualityMetric(
        "rows read, by those of the previous run",
        lambda run: _ratio(run.counts.events_read, run.previous.events_read if run.previous else None),
    ),
    "kept_ratio": QualityMetric(
        "rows kept, by those of the previous run",
        lambda run: _ratio(run.counts.kept, run.previous.kept if run.previous else None),
    ),
    POPULARITY_SHIFT: QualityMetric(
        "total variation distance of the items' shares of train from the previous run's: 0 the same, "
        "1 no item in common",
        lambda run: run.popularity_shift,
    ),
}


def popularity_shift(now: DataFrame, before: DataFrame) -> float | None:
    """Total variation distance between the item popularity distributions of two runs.

    Half the sum of absolute differences (Levin, Peres and Wilmer 2009, Markov Chains and Mixing Times,
    proposition 4.2). An index is the same item in both runs, because id maps are only extended.

    Args:
        now: ``item_index``, ``n_interactions``.
        before: the same, of the previous run.

    Returns:
        From 0 (equal) to 1 (no item in common); None if a run has no interactions.
    """
    popularity_now = now.select("item_index", F.col("n_interactions").alias("now"))
    popularity_before = before.select("item_index", F.col("n_interactions").alias("before"))
    both = popularity_now.join(popularity_before, on="item_index", how="full_outer")
    filled = both.select(*(F.coalesce(name, F.lit(0)).alias(name) for name in ("now", "before")))
    totals = filled.agg(F.sum("now").alias("now"), F.sum("before").alias("before")).first()
    if totals is None or not totals["now"] or not totals["before"]:
        return None
    difference = F.abs(F.col("now") / F.lit(totals["now"]) - F.col("before") / F.lit(totals["before"]))
    summed = filled.agg(F.sum(difference)).first()
    return None if summed is None else float(summed[0]) / 2
