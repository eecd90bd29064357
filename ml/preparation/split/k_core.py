"""The k-core of users and items: what is left when whoever has too little to learn from is removed.

Removing a user may leave an item with too few, and the other way round: the two are counted in turn until
nothing changes. What is left is the largest set in which everybody has enough (Batagelj and Zaversnik 2003,
section 2), whatever the order of removal.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.errors import StepError

MAX_ROUNDS = 50  # real shops need 3 to 15: each round removes a smaller part

_log = logging.getLogger(__name__)
Stage = Callable[[DataFrame, str], DataFrame]  # writes a table down under a name and reads it back


@dataclass(frozen=True)
class Core:
    """Who is left, with their interactions among each other and the statistics asked for.

    A pair is in the core when both its user and its item are.
    """

    users: DataFrame  # user_key, n_interactions, statistics
    items: DataFrame  # item_key, n_interactions, statistics


def k_core(
    pairs: DataFrame,
    *,
    min_of_user: int,
    min_of_item: int,
    user_statistics: Sequence[Column],
    item_statistics: Sequence[Column],
    stage: Stage,
) -> Core:
    """The k-core of user-item pairs.

    Each round reads ``pairs`` again and joins the few who are left, so that plans stay as long as one
    round's and no round writes the pairs. Every count combines before it shuffles: a user with a fifth of
    all pairs is one row a task.

    Args:
        pairs: ``user_key``, ``item_key`` and what the statistics read, distinct in the first two.
        min_of_user: the fewest items of a user; at least 1.
        min_of_item: the fewest users of an item; at least 1.
        user_statistics: aggregates over each user's pairs in the core, named; they should combine.
        item_statistics: the same over each item's.
        stage: writes a table down, which cuts its lineage.

    Raises:
        StepError: there is no fixed point after MAX_ROUNDS.
    """
    # Each set only ever shrinks, so that one of the same size as before is the same.
    items: DataFrame | None = None  # None: all of them
    n_users = n_items = -1
    for number in range(1, MAX_ROUNDS + 1):
        in_items = _among(pairs, items, "item_key")
        counted = stage(_counted(in_items, "user_key", user_statistics), f"users-{number}")
        users, n_left, n_dropped = _with_enough(counted, min_of_user)
        if items is not None and n_left == n_users:
            return Core(users, items)
        n_users = n_left
        are_all = items is None and not n_dropped
        of_users = _among(pairs, None if are_all else users, "user_key")
        counted = stage(_counted(of_users, "item_key", item_statistics), f"items-{number}")
        is_first = items is None
        items, n_left, n_dropped = _with_enough(counted, min_of_item)
        _log.info("k-core: %d users and %d items left after round %d", n_users, n_left, number)
        if (is_first and not n_dropped) or n_left == n_items:
            return Core(users, items)
        n_items = n_left
    raise StepError(
        f"k-core: no fixed point after {MAX_ROUNDS} rounds; lower --min-interactions or "
        "--min-item-interactions"
    )


def _counted(pairs: DataFrame, key: str, statistics: Sequence[Column]) -> DataFrame:
    return pairs.groupBy(key).agg(F.count("*").alias("n_interactions"), *statistics)


def _among(pairs: DataFrame, left: DataFrame | None, key: str) -> DataFrame:
    return pairs if left is None else pairs.join(left.select(key), on=key, how="left_semi")


def _with_enough(counted: DataFrame, fewest: int) -> tuple[DataFrame, int, int]:
    """Those with enough, how many they are, and how many have less."""
    has_enough = F.col("n_interactions") >= fewest
    found = counted.agg(F.count(F.when(has_enough, True)), F.count(F.when(~has_enough, True))).collect()
    n_enough, n_less = found[0]
    return counted.where(has_enough), n_enough, n_less
