"""Features of users and items, from the kept pairs of a run: pure DataFrame -> DataFrame steps.

Times are relative to ``as_of``, the newest event of the run, not to the clock: the same input gives the same
features, and last month's events prepared again tell what was true last month. As in a run's other files,
users and items are their indices; documents have their ids (:func:`user_documents`, :func:`item_documents`).
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

WINDOWS_DAYS = (1, 7, 30)
LAST_ITEMS = 20
_ITEMS = 2**31  # item indices are below it
_DAY_S = 86_400


def user_features(pairs: DataFrame, as_of: int) -> DataFrame:
    """What is known of every user that has a pair.

    Args:
        pairs: ``user_index``, ``item_index``, ``timestamp`` in Unix seconds, ``weight``; one row a pair.
        as_of: the newest timestamp, Unix seconds.

    Returns:
        ``user_index``: int32; ``n_interactions``, ``n_interactions_1d``, ``_7d``, ``_30d``: int64;
        ``total_weight``: double; ``first_timestamp``, ``last_timestamp``: int64; ``recency_days``: double;
        ``last_items``: array of int32, item indices, the newest first, at most LAST_ITEMS.
    """
    # One number that sorts the newest first: a user has each item once, so that a history is bounded by the
    # catalogue, and numbers are collected sooner than rows are ranked.
    age_and_item = (F.lit(as_of) - F.col("timestamp")) * _ITEMS + (_ITEMS - 1 - F.col("item_index"))
    newest = F.slice(F.sort_array(F.collect_list(age_and_item)), 1, LAST_ITEMS)
    counted = pairs.groupBy("user_index").agg(
        *_counts(as_of), F.min("timestamp").alias("first_timestamp"), newest.alias("newest")
    )
    last_items = F.transform("newest", lambda packed: (_ITEMS - 1 - packed % _ITEMS).cast("int"))
    return counted.select(
        "user_index",
        *_count_names(),
        "total_weight",
        "first_timestamp",
        "last_timestamp",
        _recency_days(as_of),
        last_items.alias("last_items"),
    )


def item_features(pairs: DataFrame, as_of: int) -> DataFrame:
    """What is known of every item that has a pair: its popularity by window, and how fresh it is.

    Args:
        pairs, as_of: as of :func:`user_features`.

    Returns:
        ``item_index``: int32; ``n_interactions``, ``n_interactions_1d``, ``_7d``, ``_30d``: int64 (each is of
        another user); ``total_weight``: double; ``last_timestamp``: int64; ``recency_days``: double.
    """
    counted = pairs.groupBy("item_index").agg(*_counts(as_of))
    return counted.select(
        "item_index", *_count_names(), "total_weight", "last_timestamp", _recency_days(as_of)
    )


def user_documents(features: DataFrame, users: DataFrame, items: DataFrame) -> DataFrame:
    """User features with ids in place of indices: ``user_id``, then the features, ``last_items`` by id.

    Args:
        features: of :func:`user_features`.
        users: ``user_id``, ``user_index``.
        items: ``item_id``, ``item_index``.
    """
    each = features.select("user_index", F.posexplode("last_items").alias("position", "item_index"))
    in_order = F.sort_array(F.collect_list(F.struct("position", "item_id")))
    named = (
        each.join(items, on="item_index").groupBy("user_index").agg(in_order["item_id"].alias("last_items"))
    )
    whole = features.drop("last_items").join(named, on="user_index").join(users, on="user_index")
    return whole.select("user_id", *(name for name in features.columns if name != "user_index"))


def item_documents(features: DataFrame, items: DataFrame) -> DataFrame:
    """Item features with the id in place of the index: ``item_id``, then the features."""
    whole = features.join(items, on="item_index")
    return whole.select("item_id", *(name for name in features.columns if name != "item_index"))


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
