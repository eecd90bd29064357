"""Totals of a table that are computed while it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import Column, DataFrame, SparkSession, functions

from ml.preparation.spark.totals import write_with_totals

pytestmark = pytest.mark.spark


def totals() -> list[Column]:
    value = functions.col("value")
    return [
        functions.count("*").alias("n"),
        functions.sum(value).alias("sum"),
        functions.max(value).alias("most"),
    ]


def numbers(spark: SparkSession, n: int) -> DataFrame:
    return spark.range(n).select(functions.col("id").alias("value")).repartition(3, "value")


@pytest.mark.parametrize("n", [0, 1, 100])
def test_totals_are_those_of_all_written_rows(spark: SparkSession, tmp_path: Path, n: int) -> None:
    folder = str(tmp_path / "numbers")
    found = write_with_totals(numbers(spark, n), totals(), lambda rows: rows.write.parquet(folder))
    expected = {"n": n, "sum": sum(range(n)) if n else None, "most": n - 1 if n else None}
    assert found == expected
    assert spark.read.parquet(folder).agg(*totals()).collect()[0].asDict() == expected


def test_totals_of_a_table_that_becomes_empty_while_it_is_computed(
    spark: SparkSession, tmp_path: Path
) -> None:
    pairs = numbers(spark, 50).join(numbers(spark, 50).where("value > 60"), on="value", how="left_semi")
    distinct = pairs.groupBy("value").count()
    folder = str(tmp_path / "empty")
    found = write_with_totals(distinct, totals(), lambda rows: rows.write.parquet(folder))
    assert found == {"n": 0, "sum": None, "most": None}


def test_writing_is_one_query(spark: SparkSession, tmp_path: Path) -> None:
    jobs = spark.sparkContext.statusTracker()
    spark.sparkContext.setJobGroup("totals", "writes one table")
    try:
        folder = str(tmp_path / "one")
        write_with_totals(spark.range(10).toDF("value"), totals(), lambda rows: rows.write.parquet(folder))
        assert len(jobs.getJobIdsForGroup("totals")) == 1
    finally:
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)
