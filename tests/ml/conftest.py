"""One Spark session for all tests, and the data sets that may not be copied into the project."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from ml.preparation.spark.session import build_session

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """The session that the job itself would build for a small input."""
    session = build_session(is_small=True)
    yield session
    session.stop()


@pytest.fixture(scope="session")
def ml_100k() -> Path:
    """MovieLens 100K's u.data, below NCF_DATA_DIR (GroupLens forbids to redistribute it)."""
    path = ROOT / os.environ.get("NCF_DATA_DIR", "../shared/data") / "ml-100k" / "u.data"
    if not path.is_file():
        pytest.skip(f"MovieLens 100K is not at {path}")
    return path
