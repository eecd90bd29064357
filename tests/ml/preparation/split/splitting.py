"""The job's middle step over events in memory, its result by id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession, functions

from ml.contract import SPLITS
from ml.preparation.arguments import Settings
from ml.preparation.split.core import SplitEvents, split_events
from ml.preparation.split.pairs import id_key

SCHEMA = "user_id string, item_id string, timestamp long, weight double"
Event = tuple[str, str, int]


@dataclass(frozen=True)
class Row:
    """One kept pair."""

    user: str
    item: str
    time: int
    split: str
    weight: float


def frame(spark: SparkSession, events: Sequence[Event], weight: float = 1.0) -> DataFrame:
    return spark.createDataFrame([(*event, weight) for event in events], SCHEMA)


def stage(table: DataFrame, name: str) -> DataFrame:
    """Cuts the lineage, as writing down does."""
    return table.localCheckpoint()


def split(events: DataFrame, **settings: Any) -> tuple[SplitEvents, list[Row]]:
    """The split of events, and every pair that it keeps."""
    done = split_events(events, Settings("shop.csv", "prepared", "20261123T020000Z", **settings), None, stage)
    users = done.user_ids.withColumn("user_key", id_key("user_id", done.seed))
    items = done.item_ids.withColumn("item_key", id_key("item_id", done.seed))
    kept = done.pairs.join(done.assigned.users, on="user_key").join(done.assigned.items, on="item_key")
    named = kept.join(users, on="user_key").join(items, on="item_key")
    columns = named.select("user_id", "item_id", "timestamp", done.assigned.split, functions.col("weight"))
    return done, [Row(u, i, t, SPLITS[s], w) for u, i, t, s, w in map(tuple, columns.collect())]
