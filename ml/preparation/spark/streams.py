"""Streams of the driver's JVM: decompression, archives and decoding, without the content passing Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.sql import SparkSession

from ml.preparation.spark.java_classes import import_classes
from ml.preparation.spark.storage import Storage

CHUNK_BYTES = 1024 * 1024
# All of Spark's own class path, on EMR too: zstd-jni and xz are what Spark itself compresses with.
_JAVA_CLASSES = (
    "java.io.BufferedInputStream",
    "java.io.InputStreamReader",
    "java.io.OutputStreamWriter",
    "org.apache.commons.compress.archivers.ArchiveStreamFactory",
    "org.apache.commons.compress.compressors.CompressorStreamFactory",
    "org.apache.commons.io.IOUtils",
    "org.apache.commons.io.input.BoundedInputStream",
    "org.apache.commons.io.input.CountingInputStream",
)


class Streams:
    """Java streams of stored files."""

    def __init__(self, spark: SparkSession, storage: Storage) -> None:
        self._jvm = import_classes(spark, _JAVA_CLASSES)
        self._storage = storage

    @contextmanager
    def read(self, uri: str, compression: str | None) -> Iterator[tuple[Any, Any]]:
        """A stream of a file's decompressed bytes, and the stream below it, which counts the bytes read."""
        counted = self._jvm.CountingInputStream(self._storage.open(uri))
        try:
            buffered = self._jvm.BufferedInputStream(counted, CHUNK_BYTES)
            if compression is not None:
                factory = self._jvm.CompressorStreamFactory(True)  # files of several concatenated parts, too
                buffered = factory.createCompressorInputStream(compression, buffered)
            yield buffered, counted
        finally:
            counted.close()

    def start(self, uri: str, n_bytes: int, compression: str | None = None) -> bytes:
        """The first bytes of a file."""
        with self.read(uri, compression) as (stream, _):
            return self.take(stream, n_bytes)

    def take(self, stream: Any, n_bytes: int) -> bytes:
        """The next bytes of a stream; fewer at its end."""
        return bytes(self._jvm.IOUtils.toByteArray(self._jvm.BoundedInputStream(stream, n_bytes)))

    def members(self, stream: Any, kind: str) -> Iterator[tuple[str, Any]]:
        """Name and content of each file of an archive; a content ends where the next one begins."""
        archive = self._jvm.ArchiveStreamFactory().createArchiveInputStream(kind, stream)
        while (entry := archive.getNextEntry()) is not None:
            if not entry.isDirectory():
                yield str(entry.getName()), archive

    def copy(self, stream: Any, target: str) -> None:
        """Write the rest of a stream to a file."""
        out = self._storage.create(target)
        try:
            self._jvm.IOUtils.copyLarge(stream, out)
        finally:
            out.close()

    def copy_as_utf_8(self, stream: Any, target: str, charset: str) -> None:
        """Write the rest of a stream of encoded text to a UTF-8 file; `charset` is Java's name."""
        writer = self._jvm.OutputStreamWriter(self._storage.create(target), "UTF-8")
        try:
            self._jvm.IOUtils.copyLarge(self._jvm.InputStreamReader(stream, charset), writer)
        finally:
            writer.close()

    def write_chunks(self, chunks: Iterable[bytes], target: str) -> None:
        """Write a file from small pieces of its content."""
        out = self._storage.create(target)
        try:
            waiting = bytearray()
            for each in chunks:
                waiting += each
                if len(waiting) >= CHUNK_BYTES:
                    out.write(waiting)
                    waiting = bytearray()
            out.write(waiting)
        finally:
            out.close()
