"""Partitions of Spark's hash partitioner, computed on the driver."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

_SEED = 42  # of Spark's hash partitioning and of F.hash


def integers_by_partition(spark: SparkSession, n_partitions: int) -> list[int]:
    """For each partition, the smallest integer that ``repartition(n_partitions, column)`` assigns to it.

    Args:
        spark: the session.
        n_partitions: number of partitions.

    Returns:
        One int32 per partition, from 0, each usable as a value of an int column.
    """
    jvm: Any = spark.sparkContext._jvm  # PySpark has no public API for its gateway
    hash_of = jvm.org.apache.spark.unsafe.hash.Murmur3_x86_32.hashInt
    found: dict[int, int] = {}
    number = 0
    while len(found) < n_partitions:
        found.setdefault(hash_of(number, _SEED) % n_partitions, number)
        number += 1
    return [found[each] for each in range(n_partitions)]
