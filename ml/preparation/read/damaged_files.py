"""Which of an input's files is damaged, when reading them all has failed."""

from __future__ import annotations

from collections.abc import Sequence

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ml.preparation.errors import first_cause
from ml.preparation.read.file_format import PARQUET_MAGIC
from ml.preparation.spark.storage import Storage, StoredFile, literal_path


def damaged_file(spark: SparkSession, storage: Storage, files: Sequence[StoredFile]) -> str | None:
    """The first file that cannot be read to its end, and why, as one line; None if all of them can.

    Spark names the file only for some formats. The files are read once more, one by one, and only when
    the run has failed anyway.
    """
    for each in files:
        path = literal_path(each.uri)
        try:
            is_parquet = storage.head(each.uri, len(PARQUET_MAGIC)) == PARQUET_MAGIC
            content = spark.read.parquet(path) if is_parquet else spark.read.text(path)
            content.write.format("noop").mode("overwrite").save()
        except (Py4JError, PySparkException) as error:
            return f"{each.uri}: damaged file: {first_cause(error)}"
    return None
