"""From usable events to a prepared run: pure DataFrame -> DataFrame steps.

Each ends in a select that is its contract. Nothing depends on the order or the partitioning of the
input: ties are broken by a hash of the pair, and ids are numbered in their sorted order. (Broken by the
ids themselves, ties would hold out one end of the id range: in many shops what is old, or popular.)
"""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

SPLIT_RULE = {
    "rule": "leave-last-two-out-in-time",
    "order": "timestamp, then xxhash64(user_id, item_id), then item_id",
    "validation": "each user's second newest event",
    "test": "each user's newest event",
}
N_HELD_OUT = 2  # a user's newest events: one for validation, one for test
FILTERED = "filtered"  # in place of a split: the user has too few interactions


def newest_events(events: DataFrame) -> DataFrame:
    """One event a user-item pair, the newest: ``user_id``, ``item_id``, ``timestamp``."""
    newest = events.groupBy("user_id", "item_id").agg(F.max("timestamp").alias("timestamp"))
    return newest.select("user_id", "item_id", "timestamp")


def assigned_splits(events: DataFrame, min_interactions: int) -> DataFrame:
    """Give each event its split.

    Args:
        events: one event a user-item pair.
        min_interactions: users with fewer events are marked ``filtered``; above N_HELD_OUT, so that
            each user keeps something to learn from.

    Returns:
        ``user_id``, ``item_id``, ``timestamp``, ``split`` (train, validation, test or filtered).
    """
    of_user = Window.partitionBy("user_id")
    tie_break = F.xxhash64("user_id", "item_id")
    newest_first = of_user.orderBy(F.desc("timestamp"), F.desc(tie_break), F.desc("item_id"))
    ranked = events.select(
        "*",
        F.row_number().over(newest_first).alias("recency"),
        F.count("*").over(of_user).alias("n_interactions"),
    )
    split = (
        F.when(F.col("n_interactions") < min_interactions, FILTERED)
        .when(F.col("recency") == 1, "test")
        .when(F.col("recency") == N_HELD_OUT, "validation")
        .otherwise("train")
    )
    return ranked.select("user_id", "item_id", "timestamp", split.alias("split"))


def id_index(events: DataFrame, id_column: str, index_column: str) -> DataFrame:
    """Number the ids from 0 in their sorted order: ``id_column``: string, ``index_column``: int32.

    The window has one partition on purpose: dense numbers need a total order, and ids are few
    beside events.
    """
    ids = events.select(id_column).distinct()
    position = F.row_number().over(Window.orderBy(id_column)) - 1
    return ids.select(id_column, position.cast("int").alias(index_column))


def encoded_events(events: DataFrame, users: DataFrame, items: DataFrame) -> DataFrame:
    """Events by index: ``split``, ``user_index``, ``item_index``: int32, ``timestamp``: int64."""
    with_users = events.join(users, on="user_id", how="inner")
    with_items = with_users.join(items, on="item_id", how="inner")
    return with_items.select("split", "user_index", "item_index", "timestamp")


def item_popularity(events: DataFrame, items: DataFrame) -> DataFrame:
    """Train events of every item, also of those with none: ``item_index``, ``n_interactions``: int64."""
    in_train = events.where(F.col("split") == "train")
    counted = in_train.groupBy("item_id").agg(F.count("*").alias("n_interactions"))
    of_all = items.join(counted, on="item_id", how="left")
    n_interactions = F.coalesce("n_interactions", F.lit(0).cast("bigint"))
    return of_all.select("item_index", n_interactions.alias("n_interactions"))
