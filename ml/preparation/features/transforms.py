"""Features of users and items, from the kept pairs of a run: pure DataFrame -> DataFrame steps.

Times are relative to ``as_of``, the newest event of the run, not to the clock: the same input gives the same
features, and last month's events prepared again tell what was true last month. As in a run's other files,
users and items are their indices; documents have their ids (:func:`user_documents`, :func:`item_documents`).
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import SPLITS

WINDOWS_DAYS = (1, 7, 30)
LAST_ITEMS = 20
_DAY_S = 86_400


def last_rows(rows: DataFrame) -> DataFrame:
    """Where each user's rows end, so that a row's recency is a subtraction and nothing has to be sorted.

    Args:
        rows: ``user_index``; ``timestamp``; ``split``: int32, position in SPLITS; ``row``: int64. A user's
            rows of a split follow each other, oldest first, and those of a later split are newer.

    Returns:
        ``user_index``; ``last_timestamp``; for each split ``newest_{split}``: int64, null without a row: the
        row of that split that would be the user's newest of all.
    """
    in_split = {name: F.col("split") == position for position, name in enumerate(SPLITS)}
    ends = rows.groupBy("user_index").agg(
        F.max("timestamp").alias("last_timestamp"),
        *(F.max(F.when(is_in, F.col("row"))).alias(f"last_{name}") for name, is_in in in_split.items()),
        *(F.count(F.when(is_in, True)).alias(f"n_{name}") for name, is_in in in_split.items()),
    )
    newest = []
    for position, name in enumerate(SPLITS):
        n_newer = sum((F.col(f"n_{later}") for later in SPLITS[position + 1 :]), F.lit(0))
        newest.append((F.col(f"last_{name}") + n_newer).alias(f"newest_{name}"))
    return ends.select("user_index", "last_timestamp", *newest)


def with_recency(rows: DataFrame, last: DataFrame) -> DataFrame:
    """The rows with ``recency``: int32, how many of the user's are newer.

    Args:
        rows: as of :func:`last_rows`.
        last: what it gave for them.
    """
    newest = F.element_at(F.array(*(f"newest_{name}" for name in SPLITS)), F.col("split") + 1)
    recency = (newest - F.col("row")).cast("int")
    joined = rows.join(last.drop("last_timestamp"), on="user_index")
    return joined.select(*rows.columns, recency.alias("recency"))


def user_features(pairs: DataFrame, as_of: int) -> DataFrame:
    """What is known of every user that has a pair.

    Args:
        pairs: ``user_index``, ``item_index``, ``timestamp`` in Unix seconds, ``weight``, ``recency``; one row
            a pair.
        as_of: the newest timestamp, Unix seconds.

    Returns:
        ``user_index``: int32; ``n_interactions``, ``n_interactions_1d``, ``_7d``, ``_30d``: int64;
        ``total_weight``: double; ``first_timestamp``, ``last_timestamp``: int64; ``recency_days``: double;
        ``last_items``: array of int32, item indices by recency, at most LAST_ITEMS.
    """
    # A column for each place of the list: numbers are aggregated in place, a list that is collected is an
    # object a row.
    places = [f"last_item_{place}" for place in range(LAST_ITEMS)]
    at_place = [
        F.max(F.when(F.col("recency") == place, F.col("item_index"))).alias(name)
        for place, name in enumerate(places)
    ]
    counted = pairs.groupBy("user_index").agg(
        *_counts(as_of), F.min("timestamp").alias("first_timestamp"), *at_place
    )
    last_items = F.array_compact(F.array(*places))
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


def newest_timestamp(last: DataFrame) -> int:
    """When the newest of all rows is from, of what :func:`last_rows` gives for at least one."""
    ((newest,),) = last.agg(F.max("last_timestamp")).collect()
    return int(newest)


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
