"""Search for the damaged file after reading an input has failed."""

from __future__ import annotations

from collections.abc import Sequence

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ml.preparation.detect.file_format import ORC_MAGIC, PARQUET_MAGIC
from ml.preparation.errors import root_cause
from ml.preparation.spark.storage import Storage, StoredFile, literal_path


def find_damaged_file(spark: SparkSession, storage: Storage, files: Sequence[StoredFile]) -> str | None:
    """One line with the first file that cannot be read to its end, and the cause; None if all can be read.

    Reads the files one at a time, because Spark names the file in its error only for some formats. For use
    after the run has failed.
    """
    for each in files:
        path = literal_path(each.uri)
        try:
            start = storage.read_head(each.uri, len(PARQUET_MAGIC))
            if start == PARQUET_MAGIC:
                content = spark.read.parquet(path)
            elif start.startswith(ORC_MAGIC):
                content = spark.read.orc(path)
            else:
                content = spark.read.text(path)
            content.write.format("noop").mode("overwrite").save()
        except (Py4JError, PySparkException) as error:
            return f"{each.uri}: damaged file: {root_cause(error)}"
    return None
