"""Files through Hadoop's FileSystem, so that ``s3://``, ``hdfs://`` and local paths are one thing.

The calls go over PySpark's gateway to the driver's JVM, where the credentials, the mounts and the
retries of the cluster already are. Nothing here runs on executors, and no file is pulled into Python
but for the first kilobytes of an input.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

_GLOB_CHARACTERS = re.compile(r"([{}\[\]*?\\])")


@dataclass(frozen=True)
class StoredFile:
    """A file and its size."""

    uri: str
    bytes: int


class Storage:
    """The file systems that a Spark session can reach."""

    def __init__(self, spark: SparkSession) -> None:
        self._jvm: Any = spark.sparkContext._jvm  # PySpark has no public door to the gateway
        self._conf: Any = spark.sparkContext._jsc.hadoopConfiguration()

    def _at(self, uri: str) -> tuple[Any, Any]:
        path = self._jvm.org.apache.hadoop.fs.Path(uri)
        return path.getFileSystem(self._conf), path

    def exists(self, uri: str) -> bool:
        """Whether there is a file or a folder."""
        fs, path = self._at(uri)
        return bool(fs.exists(path))

    def list_files(self, uri: str) -> list[StoredFile]:
        """The files of a folder at any depth, or the file itself, sorted by name.

        Names that start with ``_`` or ``.`` are not data (markers, unfinished writes) and are left
        out; Spark would pass over them anyway.
        """
        fs, path = self._at(uri)
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
        """The names of the folders right below a folder, sorted; none where there is no such folder."""
        fs, path = self._at(uri)
        if not fs.exists(path):
            return []
        entries = fs.listStatus(path)
        return sorted(each.getPath().getName() for each in entries if each.isDirectory())

    def read_text(self, uri: str) -> str:
        """A small UTF-8 file; what is not UTF-8 is replaced."""
        fs, path = self._at(uri)
        stream = fs.open(path)
        try:
            return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream)).decode(
                "utf-8", "replace"
            )
        finally:
            stream.close()

    def children(self, uri: str) -> tuple[list[str], list[str]]:
        """The folders and the files directly in a folder, sorted by name, without hidden ones."""
        fs, path = self._at(uri)
        folders: list[str] = []
        files: list[str] = []
        for status in fs.listStatus(path):
            if not status.getPath().getName().startswith(("_", ".")):
                (folders if status.isDirectory() else files).append(status.getPath().toString())
        return sorted(folders), sorted(files)

    def head(self, uri: str, limit_bytes: int) -> bytes:
        """The first bytes of a file, decompressed if its name says that it is compressed."""
        fs, path = self._at(uri)
        stream = fs.open(path)
        try:
            codec = self._jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(self._conf).getCodec(path)
            source = codec.createInputStream(stream) if codec is not None else stream
            bounded = self._jvm.org.apache.commons.io.input.BoundedInputStream(source, limit_bytes)
            return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(bounded))
        finally:
            stream.close()

    def write_text(self, uri: str, text: str) -> None:
        """Write a small UTF-8 file, replacing what is there."""
        fs, path = self._at(uri)
        stream = fs.create(path, True)
        try:
            stream.write(bytearray(text.encode("utf-8")))
        finally:
            stream.close()

    def move(self, source: str, target: str) -> None:
        """Rename a file into a folder that is made if it has to be.

        Raises:
            OSError: the file system refused.
        """
        fs, target_path = self._at(target)
        fs.mkdirs(target_path.getParent())
        if not fs.rename(self._jvm.org.apache.hadoop.fs.Path(source), target_path):
            raise OSError(f"cannot rename {source} to {target}")

    def delete(self, uri: str) -> None:
        """Delete a file or a whole folder; nothing there is fine."""
        fs, path = self._at(uri)
        fs.delete(path, True)

    def without_checksum_files(self, uri: str) -> None:
        """Stop Hadoop's local file system from leaving a ``.crc`` beside each file; others ignore this.

        The manifest's sha256 does that work, and for every reader.
        """
        fs, _ = self._at(uri)
        fs.setWriteChecksum(False)

    def size_bytes(self, uri: str) -> int:
        """A file's size."""
        fs, path = self._at(uri)
        return int(fs.getFileStatus(path).getLen())

    def sha256(self, uri: str) -> str:
        """A file's sha256 as lower-case hexadecimal; the JVM reads it in chunks."""
        fs, path = self._at(uri)
        stream = fs.open(path)
        try:
            return str(self._jvm.org.apache.commons.codec.digest.DigestUtils.sha256Hex(stream))
        finally:
            stream.close()

    def parquet_schema(self, uri: str) -> tuple[str, tuple[str, ...]]:
        """A Parquet file's schema as text, and the names of its columns of nanosecond timestamps."""
        reader = self._parquet_reader(uri)
        try:
            schema = reader.getFileMetaData().getSchema()
            columns = [schema.getType(number) for number in range(schema.getFieldCount())]
            annotated = [(each.getName(), each.getLogicalTypeAnnotation()) for each in columns]
            kinds = {name: kind.toString() for name, kind in annotated if kind is not None}
            return str(schema.toString()), tuple(name for name in kinds if "NANOS" in kinds[name])
        finally:
            reader.close()

    def parquet_rows(self, uri: str) -> int:
        """The number of rows that a Parquet file's footer states."""
        reader = self._parquet_reader(uri)
        try:
            return int(reader.getRecordCount())
        finally:
            reader.close()

    def _parquet_reader(self, uri: str) -> Any:
        _, path = self._at(uri)
        hadoop = self._jvm.org.apache.parquet.hadoop
        return hadoop.ParquetFileReader.open(hadoop.util.HadoopInputFile.fromPath(path, self._conf))


def literal_path(uri: str) -> str:
    """A path for Spark's readers, which would take ``[``, ``{`` or ``*`` in a name as a pattern."""
    return _GLOB_CHARACTERS.sub(r"\\\1", uri)
