"""The split step over events in memory, with its result by id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, functions

from ml.contract import SPLITS
from ml.preparation.spark.totals import Totals
from ml.preparation.split.keys import HEAVY_EVENTS, id_key
from ml.preparation.split.splitting import SplitPairs, split_events
from ml.settings.preparation import SplitSettings

SCHEMA = "user_id string, item_id string, timestamp long, weight double"
Event = tuple[str, str, int]
# Of equal length, with the same hash under the first seed: the second half makes up for the first.
COLLIDING_IDS = ["6BqJHfD351wlQm8G", "UZVt8f9kBkaOLmRK"]


@dataclass(frozen=True)
class Row:
    """One kept pair."""

    user: str
    item: str
    time: int
    split: str
    weight: float


def frame(spark: SparkSession, events: Sequence[Event], weight: float = 1.0) -> DataFrame:
    """Events of one weight as a DataFrame."""
    return spark.createDataFrame([(*event, weight) for event in events], SCHEMA)


def checkpoint(table: DataFrame, name: str, *totals: Column) -> tuple[DataFrame, Totals]:
    """Cut the lineage in memory."""
    kept = table.localCheckpoint()
    return kept, kept.agg(*totals).collect()[0].asDict() if totals else {}


def split(
    events: DataFrame, *, heavy_events: int = HEAVY_EVENTS, **settings: Any
) -> tuple[SplitPairs, list[Row]]:
    """Result of the split step, and the rows of all kept pairs."""
    done = split_events(
        events, SplitSettings(**settings), None, checkpoint, source="shop.csv", heavy_events=heavy_events
    )
    users = done.user_ids.withColumn("user_key", id_key("user_id", done.seed))
    items = done.item_ids.withColumn("item_key", id_key("item_id", done.seed))
    kept = done.pairs.join(done.assignment.users, on="user_key").join(done.assignment.items, on="item_key")
    named = kept.join(users, on="user_key").join(items, on="item_key")
    columns = named.select("user_id", "item_id", "timestamp", done.assignment.split, functions.col("weight"))
    return done, [Row(u, i, t, SPLITS[s], w) for u, i, t, s, w in map(tuple, columns.collect())]
