"""Features of users and items, from the kept pairs of a run: pure DataFrame -> DataFrame steps.

Times are relative to ``as_of``, the newest event of the run, not to the clock: the same input gives the same
features, and last month's events prepared again tell what was true last month.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

WINDOWS_DAYS = (1, 7, 30)
LAST_ITEMS = 20
_DAY_S = 86_400


def user_features(pairs: DataFrame, users: DataFrame, items: DataFrame, as_of: int) -> DataFrame:
    """What is known of every user that has a pair.

    Args:
        pairs: ``user_index``, ``item_index``, ``timestamp`` in Unix seconds, ``weight``; one row a pair.
        users: ``user_id``, ``user_index``.
        items: ``item_id``, ``item_index``.
        as_of: the newest timestamp, Unix seconds.

    Returns:
        ``user_id``: string; ``n_interactions``, ``n_interactions_1d``, ``_7d``, ``_30d``: int64;
        ``total_weight``: double; ``first_timestamp``, ``last_timestamp``: int64; ``recency_days``: double;
        ``last_items``: array of item ids, the newest first, at most LAST_ITEMS.
    """
    counted = pairs.groupBy("user_index").agg(*_counts(as_of), F.min("timestamp").alias("first_timestamp"))
    of_user = Window.partitionBy("user_index").orderBy(F.desc("timestamp"), F.desc("item_index"))
    # Spark keeps only the first rows of each user before the shuffle: an endless history is no burden.
    latest = pairs.select("*", F.row_number().over(of_user).alias("position"))
    latest = latest.where(F.col("position") <= LAST_ITEMS).join(items, on="item_index")
    in_order = F.sort_array(F.collect_list(F.struct("position", "item_id")))
    lists = latest.groupBy("user_index").agg(in_order["item_id"].alias("last_items"))
    joined = counted.join(lists, on="user_index").join(users, on="user_index")
    return joined.select(
        "user_id",
        *_count_names(),
        "total_weight",
        "first_timestamp",
        "last_timestamp",
        _recency_days(as_of),
        "last_items",
    )


def item_features(pairs: DataFrame, items: DataFrame, as_of: int) -> DataFrame:
    """What is known of every item that has a pair: its popularity by window, and how fresh it is.

    Args:
        pairs, items, as_of: as of :func:`user_features`.

    Returns:
        ``item_id``: string; ``n_interactions``, ``n_interactions_1d``, ``_7d``, ``_30d``: int64 (each is of
        another user); ``total_weight``: double; ``last_timestamp``: int64; ``recency_days``: double.
    """
    counted = pairs.groupBy("item_index").agg(*_counts(as_of)).join(items, on="item_index")
    return counted.select("item_id", *_count_names(), "total_weight", "last_timestamp", _recency_days(as_of))


def newest_timestamp(pairs: DataFrame) -> int:
    """When the newest pair is from, Unix seconds; of at least one pair."""
    return int(pairs.agg(F.max("timestamp")).first()[0])  # type: ignore[index]


def _counts(as_of: int) -> list[Column]:
    within = [
        F.count(F.when(F.col("timestamp") > as_of - days * _DAY_S, True)).alias(f"n_interactions_{days}d")
        for days in WINDOWS_DAYS
    ]
    return [
        F.count("*").alias("n_interactions"),
        *within,
        # A sum of doubles depends on its order: thousandths are added up as integers.
        (F.sum(F.round(F.col("weight") * 1000).cast("bigint")) / 1000).alias("total_weight"),
        F.max("timestamp").alias("last_timestamp"),
    ]


def _count_names() -> list[str]:
    return ["n_interactions", *(f"n_interactions_{days}d" for days in WINDOWS_DAYS)]


def _recency_days(as_of: int) -> Column:
    return ((F.lit(as_of) - F.col("last_timestamp")) / _DAY_S).alias("recency_days")
