"""User-item pairs: deduplicated events, by key."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.split.keys import id_key


def deduplicate_events(events: DataFrame, seed: int, heavy_users: Sequence[int] = ()) -> DataFrame:
    """Reduce events to one row per user-item pair; independent of the order and partitioning of the events.

    The result is partitioned by user, so that later counts per user are aggregated before a shuffle.

    Args:
        events: ``user_id``, ``item_id``, ``timestamp``, ``weight``.
        seed: of the keys.
        heavy_users: keys of users with too many events for one task; their rows are also partitioned by item.

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
    partition_columns = ["user_key"]
    if heavy_users:
        is_heavy = F.col("user_key").isin(*heavy_users)
        keyed = keyed.withColumn("salt", F.when(is_heavy, F.col("item_key")))
        partition_columns = ["user_key", "salt"]
    # Shuffled before the aggregation: nearly all pairs are distinct already, so a partial aggregation would
    # reduce little, and take twice as long as the rest of the step.
    partitioned = keyed.repartition(*partition_columns)
    pairs = partitioned.groupBy(*partition_columns, "item_key").agg(
        F.max("timestamp").alias("timestamp"), F.max("weight").alias("weight")
    )
    return pairs.select("user_key", "item_key", "timestamp", "weight")
