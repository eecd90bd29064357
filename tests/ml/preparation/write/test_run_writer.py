"""Files and checkpoints of a run, as they are written."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ml.preparation.spark.storage import Storage
from ml.preparation.write.run_writer import RunWriter
from tests.ml.preparation.shop import settings_for

pytestmark = pytest.mark.spark


def encodings(path: Path) -> dict[str, tuple[str, ...]]:
    """Encodings of each column of a Parquet file."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    return {column.path_in_schema: column.encodings for column in columns}


def test_checkpoint_has_the_encodings_of_a_file(spark: SparkSession, tmp_path: Path) -> None:
    """Otherwise a file can get those of a checkpoint that is written at the same time."""
    writer = RunWriter(spark, Storage(spark), settings_for("shop.csv", tmp_path).run)
    table = spark.range(9).selectExpr(
        *(
            "id",
            "cast(id AS int) AS item_index",
            "cast(id AS string) AS user_id",
            "cast(id AS float) AS weight",
        )
    )
    writer.begin()
    writer.write_table(table, "table.parquet", "id")
    writer.checkpoint(table, "checkpoint")
    (checkpoint, *_) = Path(writer.unfinished, "checkpoints", "checkpoint").glob("*.parquet")
    assert encodings(checkpoint) == encodings(Path(writer.uri, "table.parquet"))
