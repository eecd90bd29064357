"""From usable events to a prepared run: pure DataFrame -> DataFrame steps.

Each ends in a select that is its contract. Nothing depends on the order or the partitioning of the input.
Ids are read once: from then on a user and an item are their *keys*, 64-bit hashes without collisions
(:mod:`ml.preparation.split.ids` sees to that), so that every later shuffle moves numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)


def id_key(id_column: str, seed: int) -> Column:
    """The key of an id: int64; another seed gives other keys."""
    return F.xxhash64(F.lit(seed), F.col(id_column))


def newest_pairs(events: DataFrame, seed: int, heavy_users: Sequence[int] = ()) -> DataFrame:
    """One row a user-item pair, of its newest event.

    A user's pairs come to lie together, so that later counts of users combine before they are shuffled.

    Args:
        events: ``user_id``, ``item_id``, ``timestamp``, ``weight``.
        seed: of the keys.
        heavy_users: the keys of users whose events are too many for one task: theirs are spread.

    Returns:
        ``user_key``, ``item_key``: int64; ``timestamp``: int64, the newest; ``weight``: float32, the
        greatest.
    """
    keyed = events.select(
        id_key("user_id", seed).alias("user_key"),
        id_key("item_id", seed).alias("item_key"),
        "timestamp",
        F.col("weight").cast("float").alias("weight"),
    )
    place = ["user_key"]
    if heavy_users:
        is_heavy = F.col("user_key").isin(*heavy_users)
        keyed = keyed.withColumn("spread", F.when(is_heavy, F.col("item_key")))
        place = ["user_key", "spread"]
    # Nearly every pair is the only one of its kind: combining them before the shuffle would take twice as
    # long as all the rest.
    pairs = (
        keyed.repartition(*place)
        .groupBy(*place, "item_key")
        .agg(F.max("timestamp").alias("timestamp"), F.max("weight").alias("weight"))
    )
    return pairs.select("user_key", "item_key", "timestamp", "weight")


def encoded_pairs(pairs: DataFrame, users: DataFrame, items: DataFrame, split: Column) -> DataFrame:
    """The kept pairs by index.

    Args:
        pairs: as :func:`newest_pairs` gives them.
        users: the kept users: ``user_key``, ``user_index`` and what ``split`` reads.
        items: the kept items: ``item_key``, ``item_index``.
        split: the position of a pair's split in :data:`ml.contract.SPLITS`.

    Returns:
        ``split``: int32; ``user_index``, ``item_index``: int32; ``timestamp``: int64; ``weight``: float32.
    """
    of_kept_users = pairs.join(users, on="user_key", how="inner")
    kept = of_kept_users.join(items, on="item_key", how="inner")
    return kept.select(split.alias("split"), "user_index", "item_index", "timestamp", "weight")


def item_popularity(train: DataFrame, items: DataFrame) -> DataFrame:
    """Train rows of every item of the map, also of those with none.

    Args:
        train: ``item_index``, a row an interaction.
        items: the map, ``item_index``.

    Returns:
        ``item_index``: int32, ``n_interactions``: int64.
    """
    counted = train.groupBy("item_index").agg(F.count("*").alias("n_interactions"))
    of_all = items.join(counted, on="item_index", how="left")
    n_interactions = F.coalesce("n_interactions", F.lit(0).cast("bigint"))
    return of_all.select("item_index", n_interactions.alias("n_interactions"))
