"""A prepared run on disk: data files, manifest, then ``_SUCCESS``.

Spark writes below ``_unfinished`` inside the run's folder; each file is then moved to its final name,
once, since a move is a copy on S3. A run that was killed has no ``_SUCCESS`` and is cleared away by
the next attempt.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import MANIFEST_FILE, SCHEMA_VERSION, SPLITS, SUCCESS_FILE
from ml.manifest import Counts, FileEntry, Manifest
from ml.preparation.errors import InputError
from ml.preparation.storage import Storage, literal_path

ROWS_PER_FILE = 4_000_000  # about 20 MB: 12 to 16 bytes a row before compression

_log = logging.getLogger(__name__)
_UNFINISHED = "_unfinished"
_FILE = "file"  # the column that says which file of its split a row goes to
_WRITE_OPTIONS = {
    "compression": "snappy",
    # A footer lists a column's encodings in the order of a Java HashSet, which differs from process
    # to process. Delta encoding alone, as version 2 has it without dictionaries, leaves nothing to
    # order, and packs sorted indices better.
    "parquet.writer.version": "PARQUET_2_0",
    "parquet.enable.dictionary": "false",
    # Spark's own _SUCCESS, inside the run, would be taken for the run's.
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}


class RunWriter:
    """Writes one run below the prepared root."""

    def __init__(self, spark: SparkSession, storage: Storage, output: str, run_id: str) -> None:
        self._spark = spark
        self._storage = storage
        self._run_id = run_id
        self._files: list[str] = []
        self.uri = f"{output.rstrip('/')}/run={run_id}"
        self.unfinished = f"{self.uri}/{_UNFINISHED}"  # gone when the run is whole

    def begin(self) -> None:
        """Make sure that the run is ours to write.

        Raises:
            InputError: the run is already whole.
        """
        if self._storage.exists(f"{self.uri}/{SUCCESS_FILE}"):
            raise InputError(f"{self.uri}: already prepared; give another --run-id")
        self._storage.without_checksum_files(self.uri)
        if self._storage.exists(self.uri):
            _log.info("begin: clearing what an unfinished attempt left in %s", self.uri)
            self._storage.delete(self.uri)

    def write_table(self, table: DataFrame, name: str, order_by: str) -> DataFrame:
        """Write a table as the single, sorted file ``name``; returns the table as written."""
        folder = f"{self.unfinished}/{name}"
        _write(table.repartition(1).sortWithinPartitions(order_by), folder)
        (written,) = self._storage.list_files(folder)
        self._finish(written.uri, name)
        return self._spark.read.schema(table.schema).parquet(literal_path(f"{self.uri}/{name}"))

    def write_splits(self, encoded: DataFrame, rows: Mapping[str, int], n_users: int) -> None:
        """Write the three splits in one Spark job, sorted by user, time and item.

        A file holds a range of user indices, so that the bytes depend on the rows alone, never on
        how Spark happened to partition them.

        Args:
            encoded: ``split``, ``user_index``, ``item_index``, ``timestamp``.
            rows: the number of rows of each split.
            n_users: user indices are below it.
        """
        n_files = {split: max(1, math.ceil(rows[split] / ROWS_PER_FILE)) for split in SPLITS}
        file_number = F.coalesce(
            *(
                F.when(F.col("split") == split, F.floor(F.col("user_index") * F.lit(n) / F.lit(n_users)))
                for split, n in n_files.items()
            )
        )
        placed = encoded.withColumn(_FILE, file_number.cast("int"))
        together = placed.repartition(sum(n_files.values()), "split", _FILE)
        in_order = together.sortWithinPartitions("split", _FILE, "user_index", "timestamp", "item_index")
        folder = f"{self.unfinished}/splits"
        _write(in_order, folder, partition_by=("split", _FILE))
        for split, n in n_files.items():
            for number in range(n):
                (written,) = self._storage.list_files(f"{folder}/split={split}/{_FILE}={number}")
                self._finish(written.uri, f"{split}/part-{number:05d}.parquet")

    def finish(
        self, counts: Mapping[str, Any], sources: Sequence[str], details: Mapping[str, Any]
    ) -> Manifest:
        """Write the manifest, then ``_SUCCESS``.

        Args:
            counts: the fields of :class:`ml.manifest.Counts`.
            sources: the files that were read.
            details: the manifest's ``split`` and ``min_interactions``.

        Raises:
            ManifestError: the counts do not add up; there is then no ``_SUCCESS``.
        """
        self._storage.delete(self.unfinished)
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            run_id=self._run_id,
            created_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            sources=tuple(sources),
            counts=Counts(**counts),
            files={name: self._entry(name) for name in sorted(self._files)},
            **details,
        )
        manifest.check()
        self._storage.write_text(f"{self.uri}/{MANIFEST_FILE}", manifest.to_json())
        self._storage.write_text(f"{self.uri}/{SUCCESS_FILE}", "")
        return manifest

    def rows_of(self, name: str) -> int:
        """The rows of a file of the run, as its footer states them."""
        return self._storage.parquet_rows(f"{self.uri}/{name}")

    def _finish(self, written: str, name: str) -> None:
        self._storage.move(written, f"{self.uri}/{name}")
        self._files.append(name)

    def _entry(self, name: str) -> FileEntry:
        uri = f"{self.uri}/{name}"
        return FileEntry(self._storage.sha256(uri), self._storage.size_bytes(uri), self.rows_of(name))


def _write(table: DataFrame, folder: str, partition_by: Sequence[str] = ()) -> None:
    table.write.options(**_WRITE_OPTIONS).partitionBy(*partition_by).parquet(folder)
