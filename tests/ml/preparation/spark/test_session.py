"""Spark session on one machine."""

from __future__ import annotations

import psutil
import pytest
from pyspark.sql import SparkSession

from ml.preparation.spark.session import CLASS_ARCHIVE

pytestmark = pytest.mark.spark


def test_session_starts_from_the_archived_classes(spark: SparkSession) -> None:
    assert CLASS_ARCHIVE.is_file(), "make test writes it: python -m local.spark_classes"
    pid = spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid()
    assert str(CLASS_ARCHIVE.resolve()) in {each.path for each in psutil.Process(pid).memory_maps()}
