"""Fixtures of the tests of `ml`: one Spark session per test process, and data sets outside of the project."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from ml.preparation.spark.session import build_session

ROOT = Path(__file__).parents[2]
OF_TESTS = {
    # Test tables have a few rows: more partitions would only add tasks without rows.
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    # A run needs 150 generated classes, and Spark keeps 100: each run of a test would compile them all again.
    "spark.sql.codegen.cache.maxEntries": "2000",
}


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """Spark session with the settings for small inputs and for many runs in one process."""
    session = build_session(is_small=True, overrides=OF_TESTS)
    yield session
    session.stop()


@contextmanager
def spark_conf(spark: SparkSession, key: str, value: str) -> Iterator[None]:
    """Context in which a configuration of the session has another value."""
    before = spark.conf.get(key)
    spark.conf.set(key, value)
    try:
        yield
    finally:
        spark.conf.set(key, before)


@pytest.fixture(scope="session")
def ml_100k() -> Path:
    """File u.data of MovieLens 100K in NCF_DATA_DIR; its license forbids a copy in the project."""
    path = ROOT / os.environ.get("NCF_DATA_DIR", "../shared/data") / "ml-100k" / "u.data"
    if not path.is_file():
        pytest.skip(f"MovieLens 100K is not at {path}")
    return path
