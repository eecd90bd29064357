"""Conversion of files that Spark does not read, or not on every machine, to files that it does.

Converted files lie below the temporary folder of the run. The driver converts one file at a time as a stream,
so that memory does not grow with the file; Avro is converted by the cluster.
"""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDoneError
from functools import partial
from typing import Any
from urllib.parse import quote

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.detect import containers
from ml.preparation.detect.containers import Container, plain_name
from ml.preparation.detect.json_array import array_elements
from ml.preparation.errors import InputError, root_cause
from ml.preparation.read.rows import decoded
from ml.preparation.spark.storage import Storage, StoredFile, literal_path
from ml.preparation.spark.streams import CHUNK_BYTES, Streams

_log = logging.getLogger(__name__)
_MAX_CONCURRENT_OPENS = 8  # opening a file on S3 is latency, not CPU time
_PROGRESS_S = 10.0
_MIB = 1024 * 1024
_FOLDER = "converted"
_SPARK_READS = (".parquet", ".orc")  # not opened to look for another format
_AVRO_AS_TEXT = "org.apache.avro.mapred.AvroAsTextInputFormat"  # a part of Spark, unlike its Avro reader
_TEXT = "org.apache.hadoop.io.Text"


class Converter:
    """Converts files of a run, and knows the original of each converted file.

    Args:
        spark: the session.
        storage: file systems of the input and the run.
        folder: temporary folder of the run.
    """

    def __init__(self, spark: SparkSession, storage: Storage, folder: str) -> None:
        self._spark, self._storage = spark, storage
        self._streams = Streams(spark, storage)
        self._folder = f"{folder}/{_FOLDER}"
        self._originals: list[str] = []  # by number of the converted file
        self._roots: dict[str, str] = {}  # original of each converted file

    def readable_files(self, files: Sequence[StoredFile]) -> list[StoredFile]:
        """The files, with those that Spark does not read replaced by what they were converted to.

        Raises:
            InputError: a file cannot be converted; the message names it and what to do.
        """
        with ThreadPoolExecutor(_MAX_CONCURRENT_OPENS) as pool:
            found = list(pool.map(lambda each: self._container(each.uri), files))
        readable: list[StoredFile] = []
        for each, container in zip(files, found):
            if container == Container():
                readable.append(each)
                continue
            try:
                readable += self._converted(each, container)
            except (Py4JError, PySparkException, OSError, ValueError) as error:
                cause = root_cause(error)
                raise InputError(f"{each.uri}: cannot be read as {_described(container)}: {cause}") from error
        return readable

    def with_original_source(self, events: DataFrame) -> DataFrame:
        """Replace the paths of converted files in the column ``source`` by the originals, URL-encoded."""
        if not self._originals:
            return events
        source = F.col("source")
        folder = re.escape(self._folder.split(":", 1)[-1])
        number = F.regexp_extract(decoded(source), f"{folder}/([0-9]+)/", 1)
        originals = F.array(*(F.lit(quote(each, safe="/:")) for each in self._originals))
        original = F.when(number != "", F.get(originals, number.cast("int"))).otherwise(source)
        return events.withColumn("source", original)

    def _container(self, uri: str) -> Container:
        if uri.endswith(_SPARK_READS):
            return Container()
        try:
            start = self._streams.start(uri, containers.START_BYTES)
            compression = containers.compression_of(start)
            if compression is not None:
                start = self._streams.start(uri, containers.START_BYTES, compression)
        except Py4JError as error:
            raise InputError(f"{uri}: cannot be read: {root_cause(error)}") from error
        archive = containers.archive_of(start)
        content = None if archive else containers.content_of(start)
        if archive is None and content is None and compression and containers.is_native(uri, compression):
            return Container()
        return Container(compression, archive, content)

    def _converted(self, file: StoredFile, container: Container) -> list[StoredFile]:
        if container.archive is not None:
            return self._unpacked(file, container.compression, container.archive)
        if container.content == containers.JSON_ARRAY:
            return [self._as_json_lines(file, container.compression)]
        if container.content in containers.UTF_16_CHARSETS:
            return [self._as_utf_8(file, container.compression, container.content, "UTF-16 text")]
        if container.compression is not None:
            return self.readable_files([self._decompressed(file, container.compression)])
        if container.content == containers.AVRO:
            return self._avro_as_json_lines(file)
        raise InputError(f"{file.uri}: {containers.FEATHER_REFUSAL}")

    def _decompressed(self, file: StoredFile, compression: str) -> StoredFile:
        target = self._target(file, compression)
        with self._streams.read(file.uri, compression) as (stream, counted):
            self._watched(lambda: self._streams.copy(stream, target), counted, file)
        return self._stored(target)

    def _unpacked(self, file: StoredFile, compression: str | None, archive: str) -> list[StoredFile]:
        found: list[StoredFile] = []
        with self._streams.read(file.uri, compression) as (stream, counted):
            for name, content in self._streams.members(stream, archive):
                if containers.is_excel(name):
                    raise InputError(f"{file.uri}: an Excel workbook; save the sheet as CSV UTF-8")
                if containers.is_member(name):
                    target = self._target(file, f"{archive} archive", member=name)
                    self._watched(partial(self._streams.copy, content, target), counted, file)
                    found.append(self._stored(target))
        filled = [each for each in found if each.bytes > 0]
        if not filled:
            raise InputError(f"{file.uri}: a {archive} archive without a file in it that is not empty")
        return self.readable_files(filled)

    def _as_utf_8(self, file: StoredFile, compression: str | None, charset: str, name: str) -> StoredFile:
        target = self._target(file, name)
        with self._streams.read(file.uri, compression) as (stream, counted):
            self._watched(lambda: self._streams.copy_as_utf_8(stream, target, charset), counted, file)
        return self._stored(target)

    def _as_json_lines(self, file: StoredFile, compression: str | None) -> StoredFile:
        target = self._target(file, containers.JSON_ARRAY)
        with self._streams.read(file.uri, compression) as (stream, counted):

            def write() -> None:
                elements = array_elements(self._text(stream))
                self._streams.write_chunks((f"{each}\n".encode() for each in elements), target)

            self._watched(write, counted, file)
        return self._stored(target)

    def _text(self, stream: Any) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while chunk := self._streams.take(stream, CHUNK_BYTES):
            yield decoder.decode(chunk)

    def _avro_as_json_lines(self, file: StoredFile) -> list[StoredFile]:
        target = self._target(file, containers.AVRO)
        jvm: Any = self._spark.sparkContext._jvm
        rows = self._spark.sparkContext._jsc.hadoopFile(
            literal_path(file.uri), *map(jvm.java.lang.Class.forName, (_AVRO_AS_TEXT, _TEXT, _TEXT))
        )
        rows.keys().saveAsTextFile(target)
        return [each for each in self._storage.list_files(target) if each.bytes > 0]

    def _target(self, file: StoredFile, name: str, *, member: str | None = None) -> str:
        """The URI of the next converted file."""
        original = self._roots.get(file.uri, file.uri) + (f"/{member}" if member is not None else "")
        # Folders such as dt=2026-11-23 are columns, and stay on the path.
        keys = [each for each in original.split("/")[:-1] if "=" in each]
        folder = "/".join([self._folder, str(len(self._originals)), *keys])
        target = f"{folder}/{plain_name((member or file.uri).split('/')[-1])}"
        self._originals.append(original)
        self._roots[target] = original
        _log.info("read: converting %s: %s, %.1f MiB", original, name, file.bytes / _MIB)
        return target

    def _stored(self, target: str) -> StoredFile:
        return StoredFile(target, self._storage.size_bytes(target))

    def _watched(self, convert: Callable[[], None], counted: Any, file: StoredFile) -> None:
        """Convert, and log the progress from time to time."""
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(convert)
            while True:
                try:
                    return running.result(_PROGRESS_S)
                except NotDoneError:
                    if running.done():
                        raise
                    share = counted.getByteCount() / max(1, file.bytes)
                    _log.info("read: converting %s: %.0f %% read", file.uri, 100 * share)


def _described(container: Container) -> str:
    return " ".join(filter(None, (container.compression, container.archive, container.content)))
