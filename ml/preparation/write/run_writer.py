"""Writer of a run folder: data files, manifest and, last, ``_SUCCESS``.

Spark writes to a temporary folder. Each file is then moved to its final name, and only once,
because a move on S3 is a copy. A run that was killed has no ``_SUCCESS``, and the next attempt deletes it.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from py4j.protocol import Py4JError
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import MANIFEST_FILE, SCHEMA_VERSION, SUCCESS_FILE
from ml.manifest import Counts, FileEntry, Manifest
from ml.preparation.errors import InputError, root_cause
from ml.preparation.spark.partitions import integers_by_partition
from ml.preparation.spark.storage import Storage, literal_path
from ml.preparation.spark.totals import Totals, write_with_totals
from ml.preparation.write.file_layout import FileLayout
from ml.settings.preparation import RunSettings

_log = logging.getLogger(__name__)
_UNFINISHED = "_unfinished"
_SPLIT_SCHEMA = "user_index int, item_index int, timestamp bigint, weight float"
_PARTITION_OF_FILE = re.compile(r"/part-([0-9]+)-[^/]*$")  # Spark's name of a task's output
_WRITE_OPTIONS = {
    "compression": "snappy",
    # A Parquet footer lists the encodings of a column in the order of a Java HashSet, which differs between
    # processes. Version 2 without dictionaries has one encoding per column (delta), so that footers are
    # reproducible; it also stores sorted indices in less space.
    "parquet.writer.version": "PARQUET_2_0",
    "parquet.enable.dictionary": "false",
}
# The other options are those of the run's files: Parquet 1.13 keeps the encodings of the writer opened last
# in an object that all writers of a JVM share. Of two files that are written at the same time with different
# options, one can get the encodings of the other (https://github.com/apache/parquet-java/issues/3224).
_CHECKPOINT_OPTIONS = {
    **_WRITE_OPTIONS,
    "compression": "none",  # keys are hashes, which do not compress
}


class RunWriter:
    """Writer of one run folder below the output root."""

    def __init__(self, spark: SparkSession, storage: Storage, settings: RunSettings) -> None:
        self._spark = spark
        self._storage = storage
        self.run_id = settings.run_id
        self._files: list[str] = []
        folder = f"run={settings.run_id}"
        self.uri = f"{settings.output.rstrip('/')}/{folder}"
        # Temporary folder, deleted when the run is complete.
        self.unfinished = (
            f"{self.uri}/{_UNFINISHED}"
            if settings.scratch is None
            else f"{settings.scratch.rstrip('/')}/{folder}"
        )

    def begin(self, *, overwrite: bool = False) -> None:
        """Delete an incomplete attempt, or with ``overwrite`` a complete run.

        Raises:
            InputError: the run is complete, and ``overwrite`` is not set.
        """
        success = f"{self.uri}/{SUCCESS_FILE}"
        if self._storage.exists(success):
            if not overwrite:
                raise InputError(f"{self.uri}: already prepared; give another --run-id, or --overwrite")
            _log.info("begin: overwriting %s", self.uri)
            self._storage.delete(success)  # first, so that a kill from here on leaves an incomplete run
        self._storage.disable_checksum_files(self.uri)
        if self._storage.exists(self.uri):
            _log.info("begin: deleting an incomplete attempt in %s", self.uri)
            self._storage.delete(self.uri)
        self._storage.delete(self.unfinished)  # of an attempt that was killed

    def checkpoint(self, table: DataFrame, name: str, *totals: Column) -> tuple[DataFrame, Totals]:
        """Write a table to the temporary folder and read it back, which cuts its lineage.

        Unlike cached blocks it takes no memory, and survives the loss of a node.

        Args:
            table: the table.
            name: of the checkpoint.
            totals: named aggregations of all rows.

        Returns:
            The table as read back, and the totals by name.
        """
        folder = f"{self.unfinished}/checkpoints/{name}"
        found = write_with_totals(table, totals, lambda rows: _write(rows, folder, _CHECKPOINT_OPTIONS))
        return self._spark.read.schema(table.schema).parquet(literal_path(folder)), found

    def discard_unfinished(self) -> None:
        """Delete the temporary folder after a failure, and the run folder if it has no other files."""
        try:
            self._storage.delete(self.unfinished)
            if self._storage.exists(self.uri) and not self._storage.list_files(self.uri):
                self._storage.delete(self.uri)
        except Py4JError as error:  # must not replace the original error; the next attempt deletes it
            _log.warning("%s: cannot be deleted: %s", self.unfinished, root_cause(error))

    def write_table(self, table: DataFrame, name: str, order_by: str | None = None) -> DataFrame:
        """Write a table as a single file and return the table as read back from it.

        Args:
            table: the table; without ``order_by``, a single partition that is already sorted.
            name: of the file, relative to the run folder.
            order_by: the column to sort by.
        """
        folder = f"{self.unfinished}/{name}"
        ordered = table if order_by is None else table.repartition(1).sortWithinPartitions(order_by)
        _write(ordered, folder)
        (written,) = self._storage.list_files(folder)
        self._move_into_run(written.uri, name)
        return self._spark.read.schema(table.schema).parquet(literal_path(f"{self.uri}/{name}"))

    def write_splits(self, encoded: DataFrame, layout: FileLayout) -> None:
        """Write the three splits in one Spark job with one task per file, sorted by user, time and item.

        Each file holds a range of user indices, so that its bytes depend on the rows only, not on Spark's
        partitioning.

        Args:
            encoded: as :func:`ml.preparation.write.tables.encode_pairs` returns them.
            layout: the file of each user.
        """
        n = layout.n_files
        partitioned = encoded.repartition(n, layout.partition_value(integers_by_partition(n)))
        # One integer sort key for user and time; pairs with both equal, which are rare, compare by item.
        by_user_and_time = F.shiftleft(F.col("user_index").cast("bigint"), 32) + F.col("timestamp")
        ordered = partitioned.sortWithinPartitions(by_user_and_time, "item_index")
        folder = f"{self.unfinished}/splits"
        _write(ordered.select("user_index", "item_index", "timestamp", "weight"), folder)
        for written in self._storage.list_files(folder):
            partition = int(_PARTITION_OF_FILE.search(written.uri)[1])  # type: ignore[index]
            self._move_into_run(written.uri, layout.name_of(partition))

    def read_split(self, split: str) -> DataFrame:
        """The rows of a written split, with ``row``: int64, the row number in its file."""
        folder = literal_path(f"{self.uri}/{split}")
        rows = self._spark.read.schema(_SPLIT_SCHEMA).parquet(folder)  # finding the schema is a Spark job
        return rows.select("*", F.col("_metadata.row_index").alias("row"))

    def write_text(self, name: str, text: str) -> None:
        """Write a small file that is not a data file, and not in the manifest."""
        self._storage.write_text(f"{self.uri}/{name}", text)

    def finish(self, counts: Counts, sources: Sequence[str], details: Mapping[str, Any]) -> Manifest:
        """Write the manifest, then ``_SUCCESS``.

        Args:
            counts: events, users and items of the run.
            sources: URIs of the files that were read.
            details: other fields of the manifest.

        Raises:
            ManifestError: the counts are inconsistent; ``_SUCCESS`` is then not written.
        """
        self._storage.delete(self.unfinished)
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            run_id=self.run_id,
            created_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            sources=tuple(sources),
            counts=counts,
            files={name: self._entry(name) for name in sorted(self._files)},
            **details,
        )
        manifest.check()
        self._storage.write_text(f"{self.uri}/{MANIFEST_FILE}", manifest.to_json())
        self._storage.write_text(f"{self.uri}/{SUCCESS_FILE}", "")
        return manifest

    def count_rows(self, name: str) -> int:
        """Number of rows of a Parquet file of the run."""
        return self._storage.parquet_rows(f"{self.uri}/{name}")

    def _move_into_run(self, written: str, name: str) -> None:
        self._storage.move(written, f"{self.uri}/{name}")
        self._files.append(name)

    def _entry(self, name: str) -> FileEntry:
        uri = f"{self.uri}/{name}"
        return FileEntry(self._storage.sha256(uri), self._storage.size_bytes(uri), self.count_rows(name))


def _write(table: DataFrame, folder: str, options: Mapping[str, str] = _WRITE_OPTIONS) -> None:
    table.write.options(**options).parquet(folder)
