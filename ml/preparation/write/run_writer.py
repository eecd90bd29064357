"""A prepared run on disk: data files, manifest, then ``_SUCCESS``.

Spark writes below ``_unfinished`` inside the run's folder; each file is then moved to its final name,
once, since a move is a copy on S3. A run that was killed has no ``_SUCCESS`` and is cleared away by
the next attempt.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from py4j.protocol import Py4JError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import MANIFEST_FILE, SCHEMA_VERSION, SUCCESS_FILE
from ml.manifest import Counts, FileEntry, Manifest
from ml.preparation.errors import InputError, first_cause
from ml.preparation.spark.storage import Storage, literal_path
from ml.preparation.write.file_layout import FileLayout

_log = logging.getLogger(__name__)
_UNFINISHED = "_unfinished"
_PARTITION_OF_FILE = re.compile(r"/part-([0-9]+)-[^/]*$")  # as Spark names what a task writes
_TRIES_A_PARTITION = 64  # a partition stays empty after n times as many numbers with a chance of e^-64
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
_STAGE_OPTIONS = {
    "compression": "none",  # keys are hashes: each is different, and nothing to compress
    "parquet.enable.dictionary": "false",
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

    def begin(self, *, overwrite: bool = False) -> None:
        """Make sure that the run is ours to write.

        Raises:
            InputError: the run is already whole, and is not to be overwritten.
        """
        success = f"{self.uri}/{SUCCESS_FILE}"
        if self._storage.exists(success):
            if not overwrite:
                raise InputError(f"{self.uri}: already prepared; give another --run-id, or --overwrite")
            _log.info("begin: overwriting %s", self.uri)
            self._storage.delete(success)  # first: what is killed from here on is not taken for whole
        self._storage.without_checksum_files(self.uri)
        if self._storage.exists(self.uri):
            _log.info("begin: clearing what an earlier attempt left in %s", self.uri)
            self._storage.delete(self.uri)

    def stage(self, table: DataFrame, name: str) -> DataFrame:
        """Write a table down inside the unfinished run and read it back: its lineage ends here.

        Unlike cached blocks it takes no memory, and does not go with a machine that a cluster loses.
        """
        folder = f"{self.unfinished}/stage/{name}"
        _write(table, folder, _STAGE_OPTIONS)
        return self._spark.read.schema(table.schema).parquet(literal_path(folder))

    def abandon(self) -> None:
        """After a failure: delete what is of use to nobody, and the run's folder if nothing else is in it."""
        try:
            self._storage.delete(self.unfinished)
            if self._storage.exists(self.uri) and not self._storage.list_files(self.uri):
                self._storage.delete(self.uri)
        except Py4JError as error:  # the failure itself is what matters; the next attempt clears up
            _log.warning("%s: cannot be cleared: %s", self.unfinished, first_cause(error))

    def write_table(self, table: DataFrame, name: str, order_by: str | None = None) -> DataFrame:
        """Write a table as the single file ``name``; returns the table as written.

        Args:
            table: any, or, without ``order_by``, one partition in order.
            name: relative to the run.
            order_by: the column to sort by.
        """
        folder = f"{self.unfinished}/{name}"
        ordered = table if order_by is None else table.repartition(1).sortWithinPartitions(order_by)
        _write(ordered, folder)
        (written,) = self._storage.list_files(folder)
        self._finish(written.uri, name)
        return self._spark.read.schema(table.schema).parquet(literal_path(f"{self.uri}/{name}"))

    def write_splits(self, encoded: DataFrame, layout: FileLayout) -> None:
        """Write the three splits in one Spark job, a task a file, sorted by user, time and item.

        A file holds a range of user indices, so that the bytes depend on the rows alone, never on
        how Spark happened to partition them.

        Args:
            encoded: as :func:`ml.preparation.split.pairs.encoded_pairs` gives them.
            layout: which user goes to which file.
        """
        n = layout.n_files
        together = encoded.repartition(n, layout.partitioned_by(self._partition_values(n)))
        # One number that a comparison settles: a user's second has several pairs only now and then.
        by_user_and_time = F.shiftleft(F.col("user_index").cast("bigint"), 32) + F.col("timestamp")
        in_order = together.sortWithinPartitions(by_user_and_time, "item_index")
        folder = f"{self.unfinished}/splits"
        _write(in_order.select("user_index", "item_index", "timestamp", "weight"), folder)
        for written in self._storage.list_files(folder):
            partition = int(_PARTITION_OF_FILE.search(written.uri)[1])  # type: ignore[index]
            self._finish(written.uri, layout.name_of(partition))

    def read_split(self, split: str) -> DataFrame:
        """The rows of a split, once written, and ``row``: the position in its file, int64."""
        rows = self._spark.read.parquet(literal_path(f"{self.uri}/{split}"))
        return rows.select("*", F.col("_metadata.row_index").alias("row"))

    def write_text(self, name: str, text: str) -> None:
        """Write a small file that is no data file: it is not in the manifest."""
        self._storage.write_text(f"{self.uri}/{name}", text)

    def finish(self, counts: Counts, sources: Sequence[str], details: Mapping[str, Any]) -> Manifest:
        """Write the manifest, then ``_SUCCESS``.

        Args:
            counts: where every event went.
            sources: the files that were read.
            details: the manifest's other fields.

        Raises:
            ManifestError: the counts do not add up; there is then no ``_SUCCESS``.
        """
        self._storage.delete(self.unfinished)
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            run_id=self._run_id,
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

    def rows_of(self, name: str) -> int:
        """The rows of a file of the run, as its footer states them."""
        return self._storage.parquet_rows(f"{self.uri}/{name}")

    def _partition_values(self, n: int) -> list[int]:
        """For each of n partitions a number that Spark's hash partitioning puts there."""
        number = F.col("id").cast("int")
        partition = F.pmod(F.hash(number), F.lit(n))
        found = self._spark.range(_TRIES_A_PARTITION * n).groupBy(partition.alias("partition"))
        values = {row[0]: row[1] for row in found.agg(F.min(number)).collect()}
        return [values[each] for each in range(n)]

    def _finish(self, written: str, name: str) -> None:
        self._storage.move(written, f"{self.uri}/{name}")
        self._files.append(name)

    def _entry(self, name: str) -> FileEntry:
        uri = f"{self.uri}/{name}"
        return FileEntry(self._storage.sha256(uri), self._storage.size_bytes(uri), self.rows_of(name))


def _write(table: DataFrame, folder: str, options: Mapping[str, str] = _WRITE_OPTIONS) -> None:
    table.write.options(**options).parquet(folder)
