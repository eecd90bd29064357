"""A prepared run that the tests of the job share."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.ml.preparation.shop import prepare, shop_lines, write_shop


@pytest.fixture(scope="session")
def complete_run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of `shop_lines`, prepared once per process; tests read it only, or copy it."""
    folder = tmp_path_factory.mktemp("complete-run")
    return prepare(spark, write_shop(folder, shop_lines()), folder / "prepared")
