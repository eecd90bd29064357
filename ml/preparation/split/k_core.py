"""K-core of users and items: the largest set in which each user and each item has enough interactions.

Removing a user may leave an item with too few interactions, and the other way round, so that both are counted
in turn until nothing changes. The result does not depend on the order of removal (Batagelj and Zaversnik
2003, section 2).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.errors import StepError
from ml.preparation.spark.totals import Checkpoint

MAX_ROUNDS = 50  # shop data needs 3 to 15 rounds: each removes fewer rows than the one before

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KCore:
    """Users and items of the k-core, with their interactions inside it and the requested statistics.

    A pair is in the k-core when both its user and its item are.
    """

    users: DataFrame  # user_key, n_interactions, statistics
    items: DataFrame  # item_key, n_interactions, statistics
    n_users: int
    n_items: int


def k_core(
    pairs: DataFrame,
    *,
    min_items_per_user: int,
    min_users_per_item: int,
    user_statistics: Sequence[Column],
    item_statistics: Sequence[Column],
    checkpoint: Checkpoint,
    max_rounds: int = MAX_ROUNDS,
) -> KCore:
    """Compute the k-core of user-item pairs.

    Each round joins ``pairs`` with the remaining users or items, which are few: a query plan is never longer
    than one round, and no round writes the pairs. All aggregations are partial before the shuffle, so that
    even a user with a fifth of all pairs is shuffled as one row per task.

    Args:
        pairs: ``user_key``, ``item_key``, distinct in both, and the columns that the statistics read.
        min_items_per_user: at least 1.
        min_users_per_item: at least 1.
        user_statistics: named aggregations of each user's pairs in the k-core, with partial aggregation.
        item_statistics: the same for each item's pairs.
        checkpoint: cuts the lineage of a table.
        max_rounds: limit of rounds.

    Raises:
        StepError: there is no fixed point after ``max_rounds``.
    """
    # Both sets only shrink, so that a set of unchanged size is unchanged.
    items: DataFrame | None = None  # None: all items
    n_users = n_items = -1
    for number in range(1, max_rounds + 1):
        in_items = _restrict(pairs, items, "item_key")
        counted = _count(in_items, "user_key", user_statistics)
        users, n_left, n_dropped = _filter_by_count(
            counted, min_items_per_user, checkpoint, f"users-{number}"
        )
        if items is not None and n_left == n_users:
            return KCore(users, items, n_users, n_items)
        n_users = n_left
        are_all_left = items is None and not n_dropped
        in_users = _restrict(pairs, None if are_all_left else users, "user_key")
        counted = _count(in_users, "item_key", item_statistics)
        is_first = items is None
        items, n_left, n_dropped = _filter_by_count(
            counted, min_users_per_item, checkpoint, f"items-{number}"
        )
        _log.info("k-core: %d users and %d items left after round %d", n_users, n_left, number)
        if (is_first and not n_dropped) or n_left == n_items:
            return KCore(users, items, n_users, n_left)
        n_items = n_left
    raise StepError(
        f"k-core: no fixed point after {max_rounds} rounds; lower --min-interactions or "
        "--min-item-interactions"
    )


def _count(pairs: DataFrame, key: str, statistics: Sequence[Column]) -> DataFrame:
    return pairs.groupBy(key).agg(F.count("*").alias("n_interactions"), *statistics)


def _restrict(pairs: DataFrame, kept: DataFrame | None, key: str) -> DataFrame:
    return pairs if kept is None else pairs.join(kept.select(key), on=key, how="left_semi")


def _filter_by_count(
    counted: DataFrame, minimum: int, checkpoint: Checkpoint, name: str
) -> tuple[DataFrame, int, int]:
    """The rows with enough interactions, from a checkpoint, their number, and the number of rows dropped."""
    has_enough = F.col("n_interactions") >= minimum
    written, totals = checkpoint(
        counted,
        name,
        F.count(F.when(has_enough, True)).alias("n_kept"),
        F.count(F.when(~has_enough, True)).alias("n_dropped"),
    )
    return written.where(has_enough), totals["n_kept"], totals["n_dropped"]
