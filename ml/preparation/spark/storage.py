"""File access through Hadoop's ``FileSystem``: the same calls for ``s3://``, ``hdfs://`` and local paths.

The calls go through PySpark's gateway to the driver's JVM, which has the cluster's credentials, mounts and
retries. Nothing here runs on executors. File contents stay in the JVM, except for small text files and the
first kilobytes of an input.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from ml.preparation.spark.java_classes import import_classes

_JAVA_CLASSES = (
    "org.apache.commons.codec.digest.DigestUtils",
    "org.apache.commons.io.IOUtils",
    "org.apache.commons.io.input.BoundedInputStream",
    "org.apache.hadoop.fs.Path",
    "org.apache.hadoop.io.compress.CompressionCodecFactory",
    "org.apache.parquet.hadoop.ParquetFileReader",
    "org.apache.parquet.hadoop.util.HadoopInputFile",
    "org.apache.parquet.schema.MessageType",
)
_GLOB_CHARACTERS = re.compile(r"([{}\[\]*?\\])")


@dataclass(frozen=True)
class StoredFile:
    """A file of a file system and its size."""

    uri: str
    bytes: int


class Storage:
    """File systems that a Spark session can access."""

    def __init__(self, spark: SparkSession) -> None:
        self._jvm = import_classes(spark, _JAVA_CLASSES)
        self._conf: Any = spark.sparkContext._jsc.hadoopConfiguration()

    def _resolve(self, uri: str) -> tuple[Any, Any]:
        path = self._jvm.Path(uri)
        return path.getFileSystem(self._conf), path

    def exists(self, uri: str) -> bool:
        """Whether a file or folder exists."""
        fs, path = self._resolve(uri)
        return bool(fs.exists(path))

    def list_files(self, uri: str) -> list[StoredFile]:
        """The files of a folder at any depth, or the file itself, sorted by name.

        Names that start with ``_`` or ``.`` (markers, unfinished writes) are left out, as Spark does.
        """
        fs, path = self._resolve(uri)
        root = fs.getFileStatus(path)
        base = (root.getPath() if root.isDirectory() else root.getPath().getParent()).toString().rstrip("/")
        found = []
        entries = fs.listFiles(root.getPath(), True)
        while entries.hasNext():
            status = entries.next()
            name = status.getPath().toString()
            below = name[len(base) + 1 :].split("/")
            if not any(part.startswith(("_", ".")) for part in below):
                found.append(StoredFile(name, status.getLen()))
        return sorted(found, key=lambda each: each.uri)

    def list_folders(self, uri: str) -> list[str]:
        """Names of the folders directly below a folder, sorted; empty if the folder does not exist."""
        fs, path = self._resolve(uri)
        if not fs.exists(path):
            return []
        entries = fs.listStatus(path)
        return sorted(each.getPath().getName() for each in entries if each.isDirectory())

    def read_text(self, uri: str) -> str:
        """Content of a small UTF-8 file; invalid bytes are replaced."""
        fs, path = self._resolve(uri)
        stream = fs.open(path)
        try:
            return bytes(self._jvm.IOUtils.toByteArray(stream)).decode("utf-8", "replace")
        finally:
            stream.close()

    def children(self, uri: str) -> tuple[list[str], list[str]]:
        """Folders and files directly in a folder, sorted by name, without hidden ones."""
        fs, path = self._resolve(uri)
        folders: list[str] = []
        files: list[str] = []
        for status in fs.listStatus(path):
            if not status.getPath().getName().startswith(("_", ".")):
                (folders if status.isDirectory() else files).append(status.getPath().toString())
        return sorted(folders), sorted(files)

    def read_head(self, uri: str, limit_bytes: int) -> bytes:
        """First bytes of a file, decompressed if its name has the suffix of a compression codec."""
        fs, path = self._resolve(uri)
        stream = fs.open(path)
        try:
            codec = self._jvm.CompressionCodecFactory(self._conf).getCodec(path)
            source = codec.createInputStream(stream) if codec is not None else stream
            bounded = self._jvm.BoundedInputStream(source, limit_bytes)
            return bytes(self._jvm.IOUtils.toByteArray(bounded))
        finally:
            stream.close()

    def open(self, uri: str) -> Any:
        """Java stream of a file's bytes as they are stored."""
        fs, path = self._resolve(uri)
        return fs.open(path)

    def create(self, uri: str) -> Any:
        """Java stream that writes a file, replacing an existing one."""
        fs, path = self._resolve(uri)
        return fs.create(path, True)

    def write_text(self, uri: str, text: str) -> None:
        """Write a small UTF-8 file, replacing an existing one."""
        fs, path = self._resolve(uri)
        stream = fs.create(path, True)
        try:
            stream.write(bytearray(text.encode("utf-8")))
        finally:
            stream.close()

    def move(self, source: str, target: str) -> None:
        """Rename a file; the target's folder is created if necessary.

        Raises:
            OSError: the file system did not rename it.
        """
        fs, target_path = self._resolve(target)
        fs.mkdirs(target_path.getParent())
        if not fs.rename(self._jvm.Path(source), target_path):
            raise OSError(f"cannot rename {source} to {target}")

    def delete(self, uri: str) -> None:
        """Delete a file, or a folder with its content; no error if it does not exist."""
        fs, path = self._resolve(uri)
        fs.delete(path, True)

    def disable_checksum_files(self, uri: str) -> None:
        """Stop Hadoop's local file system from writing a ``.crc`` file for each file; others ignore this.

        The sha256 values in the manifest replace them.
        """
        fs, _ = self._resolve(uri)
        fs.setWriteChecksum(False)

    def size_bytes(self, uri: str) -> int:
        """Size of a file."""
        fs, path = self._resolve(uri)
        return int(fs.getFileStatus(path).getLen())

    def sha256(self, uri: str) -> str:
        """SHA-256 of a file, in lower-case hexadecimal; the JVM reads the file in chunks."""
        fs, path = self._resolve(uri)
        stream = fs.open(path)
        try:
            return str(self._jvm.DigestUtils.sha256Hex(stream))
        finally:
            stream.close()

    def parquet_message(self, uri: str) -> Any:
        """Schema of a Parquet file: a Java ``MessageType``."""
        reader = self._parquet_reader(uri)
        try:
            return reader.getFileMetaData().getSchema()
        finally:
            reader.close()

    def parquet_message_of(self, message: Any, column: Any) -> Any:
        """Schema with one column of a Parquet file."""
        columns = self._jvm.java.util.ArrayList()
        columns.add(column)
        return self._jvm.MessageType(message.getName(), columns)

    def parquet_rows(self, uri: str) -> int:
        """Number of rows of a Parquet file, from its footer."""
        reader = self._parquet_reader(uri)
        try:
            return int(reader.getRecordCount())
        finally:
            reader.close()

    def _parquet_reader(self, uri: str) -> Any:
        _, path = self._resolve(uri)
        return self._jvm.ParquetFileReader.open(self._jvm.HadoopInputFile.fromPath(path, self._conf))


def literal_path(uri: str) -> str:
    """A path for Spark's readers, with glob characters such as ``[``, ``{`` and ``*`` escaped."""
    return _GLOB_CHARACTERS.sub(r"\\\1", uri)
