"""Partitions of integers, compared with Spark's own assignment."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession, functions

from ml.preparation.spark.partitions import integers_by_partition

pytestmark = pytest.mark.spark


@pytest.mark.parametrize("n", [1, 3, 7, 200])
def test_spark_assigns_each_integer_to_its_partition(spark: SparkSession, n: int) -> None:
    found = integers_by_partition(n)
    assert len(found) == n
    table = spark.createDataFrame([(each,) for each in found], "number int").repartition(n, "number")
    numbered = table.withColumn("partition", functions.spark_partition_id()).collect()
    assert {row["number"]: row["partition"] for row in numbered} == {
        number: partition for partition, number in enumerate(found)
    }
