"""Ids: their keys while the job runs, and the indices that they keep from run to run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.errors import StepError
from ml.preparation.spark.concurrency import together
from ml.preparation.split.pairs import id_key

# A million ids collide with a chance of 3e-8, a hundred million with 3e-4: a second seed is rare, a third
# is hostile.
MAX_SEEDS = 4


# Of one user: what a task takes for all its users together. A user of more is spread over the tasks.
HEAVY_EVENTS = 250_000
MAX_HEAVY_USERS = 100  # a list that the driver holds and every row is compared with


def counted_ids(events: DataFrame, id_column: str, *, are_many: bool = False) -> DataFrame:
    """Every id that occurs, once.

    Args:
        events: ``id_column``.
        id_column: the column of ids.
        are_many: each task sees most of them, and few events of each, so that counting in each task before
            the ids are brought together would take twice as long.

    Returns:
        ``id_column``; ``n_events``: int64.
    """
    ids = events.select(id_column)
    gathered = ids.repartition(id_column) if are_many else ids
    return gathered.groupBy(id_column).agg(F.count("*").alias("n_events"))


def heavy_keys(counted: DataFrame, seed: int) -> list[int]:
    """The keys of the ids with more than HEAVY_EVENTS events; of the heaviest, should they be many.

    Args:
        counted: of :func:`counted_ids`.
        seed: of the keys.
    """
    heavy = counted.where(F.col("n_events") > HEAVY_EVENTS).orderBy(F.desc("n_events"), counted.columns[0])
    keys = heavy.limit(MAX_HEAVY_USERS).select(id_key(counted.columns[0], seed))
    return [row[0] for row in keys.collect()]


def seed_without_collisions(ids: Sequence[DataFrame]) -> int:
    """A seed with which no two ids of a table get one key.

    Args:
        ids: tables of distinct ids, each of one column.

    Raises:
        StepError: no seed will do.
    """
    for seed in range(MAX_SEEDS):
        if not any(together(*(partial(_collides, each, seed) for each in ids))):
            return seed
    raise StepError(f"ids collide under {MAX_SEEDS} hash seeds: the input was made to do so; look at its ids")


def _collides(ids: DataFrame, seed: int) -> bool:
    per_key = ids.groupBy(id_key(ids.columns[0], seed).alias("key")).count()
    return not per_key.where(F.col("count") > 1).isEmpty()


def kept_ids(ids: DataFrame, kept: DataFrame, key_column: str, seed: int) -> DataFrame:
    """The ids whose key is among the kept ones: one column, as in ``ids``."""
    keyed = ids.withColumn(key_column, id_key(ids.columns[0], seed))
    return keyed.join(kept.select(key_column), on=key_column, how="left_semi").select(*ids.columns)


def extended_map(ids: DataFrame, previous: DataFrame | None, index_column: str) -> DataFrame:
    """The id map of a run: the previous one's, then the ids that are new, in sorted order.

    Nothing is renumbered and nothing is dropped: an id that no longer occurs keeps its index.

    Args:
        ids: the kept ids, distinct, one column.
        previous: the map of the previous run, its indices 0 to n - 1, each once; None for a first run.
        index_column: what the index is called.

    Returns:
        The id: string; ``index_column``: int32. One partition, in the order of the index: the map is one
        file, so one task has to write it in any case; it sorts, and buffers nothing.
    """
    (id_column,) = ids.columns
    if previous is None:
        known = ids.withColumn(index_column, F.lit(None).cast("int"))
    else:
        known = ids.join(previous, on=id_column, how="full_outer")
    ordered = known.repartition(1).sortWithinPartitions(F.asc_nulls_last(index_column), id_column)
    # In a single partition these are the positions: those of the previous map are what they were.
    position = F.monotonically_increasing_id().cast("int")
    return ordered.select(id_column, position.alias(index_column))


def keyed_map(id_map: DataFrame, key_column: str, seed: int) -> DataFrame:
    """An id map by key, to be joined with what carries keys: ``key_column``, then the map's index column."""
    id_column, index_column = id_map.columns
    return id_map.select(id_key(id_column, seed).alias(key_column), index_column)
