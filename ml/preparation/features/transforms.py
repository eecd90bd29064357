"""Features of users and items from the kept pairs of a run, as DataFrame transforms.

Times are relative to ``as_of``, the newest event of the run, not to the clock: the same input gives the same
features whenever it is prepared. As in the other files of a run, users and items are indices; the feature
store's documents have ids (:func:`user_documents`, :func:`item_documents`).
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import SPLITS

WINDOWS_DAYS = (1, 7, 30)
N_LAST_ITEMS = 20
_DAY_S = 86_400


def last_rows(rows: DataFrame) -> DataFrame:
    """Last row of each user per split, from which the recency of a row follows without sorting.

    Args:
        rows: ``user_index``; ``timestamp``; ``split``: int32, position in SPLITS; ``row``: int64. The rows of
            a user in a split are consecutive, oldest first; those of a later split are newer.

    Returns:
        ``user_index``; ``last_timestamp``; for each split ``newest_{split}``: int64, null if the user has no
        row in it: the row number that has recency 0 when numbering continues from that split.
    """
    is_in_split = {name: F.col("split") == position for position, name in enumerate(SPLITS)}
    ends = rows.groupBy("user_index").agg(
        F.max("timestamp").alias("last_timestamp"),
        *(F.max(F.when(is_in, F.col("row"))).alias(f"last_{name}") for name, is_in in is_in_split.items()),
        *(F.count(F.when(is_in, True)).alias(f"n_{name}") for name, is_in in is_in_split.items()),
    )
    newest = []
    for position, name in enumerate(SPLITS):
        n_newer = sum((F.col(f"n_{later}") for later in SPLITS[position + 1 :]), F.lit(0))
        newest.append((F.col(f"last_{name}") + n_newer).alias(f"newest_{name}"))
    return ends.select("user_index", "last_timestamp", *newest)


def with_recency(rows: DataFrame, last: DataFrame) -> DataFrame:
    """Add ``recency``: int32, the number of newer rows of the same user.

    Args:
        rows: as in :func:`last_rows`.
        last: result of :func:`last_rows` for them.
    """
    newest = F.element_at(F.array(*(f"newest_{name}" for name in SPLITS)), F.col("split") + 1)
    recency = (newest - F.col("row")).cast("int")
    joined = rows.join(last.drop("last_timestamp"), on="user_index", how="inner")
    return joined.select(*rows.columns, recency.alias("recency"))


def user_features(pairs: DataFrame, as_of: int) -> DataFrame:
    """Features of every user with a pair.

    Args:
        pairs: ``user_index``, ``item_index``, ``timestamp`` in Unix seconds, ``weight``, ``recency``; one row
            per pair.
        as_of: the newest timestamp, Unix seconds.

    Returns:
        ``user_index``: int32; ``n_interactions``, ``n_interactions_1d``, ``_7d``, ``_30d``: int64;
        ``total_weight``: double; ``first_timestamp``, ``last_timestamp``: int64; ``recency_days``: double;
        ``last_items``: array of int32, item indices by recency, at most N_LAST_ITEMS.
    """
    # One column per list position: numeric aggregation buffers are updated in place, while collect_list would
    # allocate an object per row.
    positions = [f"last_item_{position}" for position in range(N_LAST_ITEMS)]
    item_at_position = [
        F.max(F.when(F.col("recency") == position, F.col("item_index"))).alias(name)
        for position, name in enumerate(positions)
    ]
    counted = pairs.groupBy("user_index").agg(
        *_counts(as_of), F.min("timestamp").alias("first_timestamp"), *item_at_position
    )
    last_items = F.array_compact(F.array(*positions))
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
    """Features of every item with a pair: popularity per time window, and recency.

    Args:
        pairs: as in :func:`user_features`.
        as_of: the newest timestamp, Unix seconds.

    Returns:
        ``item_index``: int32; ``n_interactions``, ``n_interactions_1d``, ``_7d``, ``_30d``: int64 (numbers of
        distinct users); ``total_weight``: double; ``last_timestamp``: int64; ``recency_days``: double.
    """
    counted = pairs.groupBy("item_index").agg(*_counts(as_of))
    return counted.select(
        "item_index", *_count_names(), "total_weight", "last_timestamp", _recency_days(as_of)
    )


def user_documents(features: DataFrame, users: DataFrame, items: DataFrame) -> DataFrame:
    """Replace indices by ids in user features.

    Args:
        features: result of :func:`user_features`.
        users: ``user_id``, ``user_index``.
        items: ``item_id``, ``item_index``.

    Returns:
        ``user_id``, then the features; ``last_items`` has item ids.
    """
    exploded = features.select("user_index", F.posexplode("last_items").alias("position", "item_index"))
    with_ids = exploded.join(items, on="item_index", how="inner")
    by_position = F.sort_array(F.collect_list(F.struct("position", "item_id")))
    last_items = with_ids.groupBy("user_index").agg(by_position["item_id"].alias("last_items"))
    others = features.drop("last_items").join(last_items, on="user_index", how="inner")
    documents = others.join(users, on="user_index", how="inner")
    return documents.select("user_id", *(name for name in features.columns if name != "user_index"))


def item_documents(features: DataFrame, items: DataFrame) -> DataFrame:
    """Replace the index by the id in item features: ``item_id``, then the features."""
    documents = features.join(items, on="item_index", how="inner")
    return documents.select("item_id", *(name for name in features.columns if name != "item_index"))


def newest_timestamp() -> Column:
    """The newest timestamp of all rows, Unix seconds: an aggregation of the result of :func:`last_rows`."""
    return F.max("last_timestamp")


def _counts(as_of: int) -> list[Column]:
    in_windows = [
        F.count(F.when(F.col("timestamp") > as_of - days * _DAY_S, True)).alias(f"n_interactions_{days}d")
        for days in WINDOWS_DAYS
    ]
    return [
        F.count("*").alias("n_interactions"),
        *in_windows,
        # A sum of doubles depends on their order; integers of thousandths do not.
        (F.sum(F.round(F.col("weight") * 1000).cast("bigint")) / 1000).alias("total_weight"),
        F.max("timestamp").alias("last_timestamp"),
    ]


def _count_names() -> list[str]:
    return ["n_interactions", *(f"n_interactions_{days}d" for days in WINDOWS_DAYS)]


def _recency_days(as_of: int) -> Column:
    return ((F.lit(as_of) - F.col("last_timestamp")) / _DAY_S).alias("recency_days")
