"""Id maps: the index of each user and item, which stays the same from run to run."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.split.keys import id_key


def select_ids(ids: DataFrame, kept: DataFrame, key_column: str, seed: int) -> DataFrame:
    """The ids whose key is among the kept ones.

    Args:
        ids: distinct ids, one column.
        kept: ``key_column``.
        key_column: name of the key column.
        seed: of the keys.

    Returns:
        The column of ``ids``.
    """
    keyed = ids.withColumn(key_column, id_key(ids.columns[0], seed))
    return keyed.join(kept.select(key_column), on=key_column, how="left_semi").select(*ids.columns)


def extend_id_map(ids: DataFrame, previous: DataFrame | None, index_column: str) -> DataFrame:
    """Append new ids, sorted, to the id map of the previous run.

    No index changes, and an id that no longer occurs keeps its index.

    Args:
        ids: the kept ids, distinct, one column.
        previous: id map of the previous run, with indices 0 to n - 1, each once; None for a first run.
        index_column: name of the index column.

    Returns:
        The id: string; ``index_column``: int32. One partition, sorted by index: the map is one file, which
        one task has to write in any case.
    """
    (id_column,) = ids.columns
    if previous is None:
        known = ids.withColumn(index_column, F.lit(None).cast("int"))
    else:
        known = ids.join(previous, on=id_column, how="full_outer")
    ordered = known.repartition(1).sortWithinPartitions(F.asc_nulls_last(index_column), id_column)
    # In a single partition these are the row numbers, which equal the indices of the previous map.
    index = F.monotonically_increasing_id().cast("int")
    return ordered.select(id_column, index.alias(index_column))


def index_by_key(id_map: DataFrame, key_column: str, seed: int) -> DataFrame:
    """An id map with keys instead of ids: ``key_column``, then the index column of the map."""
    id_column, index_column = id_map.columns
    return id_map.select(id_key(id_column, seed).alias(key_column), index_column)
