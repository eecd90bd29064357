"""Raw interactions from files of any supported format, as one DataFrame of text.

What is read: ``raw`` (the row as it came, for reports), ``is_parsed`` (it has the columns it should),
``user``, ``item`` and ``time``, all strings. Whether they make sense is :mod:`ml.preparation.validation`'s.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import reduce

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.errors import InputError, first_cause
from ml.preparation.layout import SEPARATORS, ColumnNames, Layout, find_columns, require_columns, text_layout
from ml.preparation.storage import Storage, StoredFile, literal_path

FORMATS = ("auto", *SEPARATORS, "parquet")

_log = logging.getLogger(__name__)
_HEAD_BYTES = 64 * 1024
_HEAD_LINES = 20
_PARQUET_MAGIC = b"PAR1"
_BYTE_ORDER_MARK = "\ufeff"
_REPLACEMENT = "\ufffd"
_LINE_END = re.compile(r"\r\n|\n|\r")  # as Spark's text reader has it; str.splitlines() knows more


def input_files(storage: Storage, uri: str) -> list[StoredFile]:
    """The files to read: the given one, or all of a folder.

    Raises:
        InputError: nothing is there, or nothing in it.
    """
    if not storage.exists(uri):
        raise InputError(f"{uri}: no such file or folder; give --input an existing one")
    listed = storage.list_files(uri)
    if not listed:
        raise InputError(f"{uri}: no data files; names that start with _ or . are passed over")
    files = [each for each in listed if each.bytes > 0]
    if not files:
        raise InputError(f"{uri}: empty; it needs at least one event")
    return files


def read_events(
    spark: SparkSession, storage: Storage, files: Sequence[StoredFile], file_format: str, names: ColumnNames
) -> DataFrame:
    """All events of the files; files of different formats or headers may lie side by side.

    Raises:
        InputError: a file has no content, or not the columns that are needed.
    """
    parquet: list[str] = []
    texts: defaultdict[Layout, list[str]] = defaultdict(list)
    for each in files:
        head = _head(storage, each.uri)
        if file_format == "parquet" or (file_format == "auto" and head.startswith(_PARQUET_MAGIC)):
            parquet.append(each.uri)
            continue
        lines = _first_lines(head)
        if lines:
            texts[text_layout(lines, file_format, names, each.uri)].append(each.uri)
    parts = [_read_text(spark, uris, layout) for layout, uris in texts.items()]
    if parquet:
        parts.append(_read_parquet(spark, parquet, names))
    if not parts:
        raise InputError(f"{files[0].uri}: only blank lines; it needs at least one event")
    for layout, uris in texts.items():
        header = "with header" if layout.header is not None else "no header"
        _log.info("read: %d file(s) as %s, %s", len(uris), layout.format, header)
    if parquet:
        _log.info("read: %d file(s) as parquet", len(parquet))
    return reduce(DataFrame.unionByName, parts)


def _head(storage: Storage, uri: str) -> bytes:
    try:
        return storage.head(uri, _HEAD_BYTES)
    except Py4JJavaError as error:
        raise InputError(f"{uri}: cannot be read: {first_cause(error)}") from error


def _first_lines(head: bytes) -> list[str]:
    """The first lines that are not blank; one cut off by the limit is left out unless it is alone."""
    lines = _LINE_END.split(head.decode("utf-8", errors="replace").lstrip(_BYTE_ORDER_MARK))
    if len(head) == _HEAD_BYTES and len(lines) > 1:
        lines = lines[:-1]
    return [line for line in lines if line.strip()][:_HEAD_LINES]


def _read_text(spark: SparkSession, uris: Sequence[str], layout: Layout) -> DataFrame:
    """Lines first and fields second: every line is accounted for, and a bad one can be shown."""
    line = F.col("value")  # without a byte order mark: Hadoop's reader skips it
    if layout.header is not None and _REPLACEMENT in layout.header:
        line = F.decode(line.cast("binary"), "UTF-8")  # not UTF-8: to be compared as it was read here
    lines = spark.read.text([literal_path(uri) for uri in uris]).select(line.alias("raw"))
    is_event = F.length(F.trim("raw")) > 0
    if layout.header is not None:
        is_event = is_event & (F.col("raw") != F.lit(layout.header))
    columns = [f"c{position}" for position in range(layout.n_columns)]
    schema = ", ".join(f"{column} string" for column in [*columns, "broken"])
    options = {
        "sep": SEPARATORS[layout.format],
        "escape": '"',
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "broken",
    }
    return (
        lines.where(is_event)
        .select("raw", F.from_csv("raw", schema, options).alias("row"))
        .select(
            "raw",
            F.col("row.broken").isNull().alias("is_parsed"),
            F.col(f"row.c{layout.user}").alias("user"),
            F.col(f"row.c{layout.item}").alias("item"),
            F.col(f"row.c{layout.time}").alias("time"),
        )
    )


def _read_parquet(spark: SparkSession, uris: Sequence[str], names: ColumnNames) -> DataFrame:
    try:
        table = spark.read.parquet(*[literal_path(uri) for uri in uris])
    except (AnalysisException, Py4JJavaError) as error:
        raise InputError(f"{uris[0]}: cannot be read as Parquet: {first_cause(error)}") from error
    positions = require_columns(find_columns(table.columns, names), table.columns, names, uris[0])
    user, item, time = (table[f"`{table.columns[positions[role]]}`"] for role in ("user", "item", "time"))
    return table.select(
        F.to_json(F.struct(user, item, time)).alias("raw"),
        F.lit(True).alias("is_parsed"),
        user.cast("string").alias("user"),
        item.cast("string").alias("item"),
        time.cast("string").alias("time"),
    )
