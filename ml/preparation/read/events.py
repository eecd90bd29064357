"""Raw interactions from files of any supported format, as one DataFrame of text.

What is read: ``raw`` (the row as it came, for reports), ``source`` (its file, URL-encoded), ``problem``
(null if the row has the columns it should, else why not), ``user``, ``item``, ``time`` and ``value`` (the
event type or the weight; null if none is asked for), all strings. Whether they make sense is
:mod:`ml.preparation.clean.validation`'s.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import Union

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from ml.preparation.errors import InputError, first_cause
from ml.preparation.read.columns import ColumnNames, find_columns, require_columns
from ml.preparation.read.file_format import HEAD_BYTES, first_lines, json_keys, told_format
from ml.preparation.read.json_lines import JsonLayout, read_json_lines
from ml.preparation.read.parquet import ParquetLayout, read_parquet
from ml.preparation.read.text import read_text
from ml.preparation.read.text_layout import Layout, text_layout
from ml.preparation.spark.storage import Storage, StoredFile

_log = logging.getLogger(__name__)
_N_OPENED_AT_ONCE = 8  # on S3 opening a file is waiting
AnyLayout = Union[Layout, JsonLayout, ParquetLayout]


def read_events(
    spark: SparkSession, storage: Storage, files: Sequence[StoredFile], file_format: str, names: ColumnNames
) -> DataFrame:
    """All events of the files; files of different formats or headers may lie side by side.

    Raises:
        InputError: a file has no content, or not the columns that are needed.
    """

    def layout_of(each: StoredFile) -> AnyLayout | None:
        return _layout(storage, each.uri, file_format, names)

    with ThreadPoolExecutor(_N_OPENED_AT_ONCE) as pool:
        layouts = list(pool.map(layout_of, files))
    alike: defaultdict[AnyLayout, list[str]] = defaultdict(list)
    for each, layout in zip(files, layouts):
        if layout is not None:
            alike[layout].append(each.uri)
    if not alike:
        raise InputError(f"{files[0].uri}: only blank lines; it needs at least one event")
    parts = [_read(spark, uris, layout, names) for layout, uris in alike.items()]
    for layout, uris in alike.items():
        _log.info("read: %d file(s) as %s", len(uris), _described(layout))
    return reduce(DataFrame.unionByName, parts)


def _layout(storage: Storage, uri: str, file_format: str, names: ColumnNames) -> AnyLayout | None:
    """The layout of a file; None if it has only blank lines."""
    try:
        head = storage.head(uri, HEAD_BYTES)
    except (Py4JError, PySparkException) as error:
        raise InputError(f"{uri}: cannot be read: {first_cause(error)}") from error
    told = told_format(head, uri) if file_format == "auto" else file_format
    if told == "parquet":
        try:
            return ParquetLayout(*storage.parquet_schema(uri))
        except (Py4JError, PySparkException) as error:
            raise InputError(f"{uri}: cannot be read as Parquet: {first_cause(error)}") from error
    lines = first_lines(head)
    if not lines:
        return None
    if told == "jsonl":
        keys = json_keys(lines, uri)
        positions = require_columns(find_columns(keys, names), keys, names, uri)
        return JsonLayout(**{role: keys[position] for role, position in positions.items()})
    return text_layout(lines, file_format, names, uri)


def _read(spark: SparkSession, uris: Sequence[str], layout: AnyLayout, names: ColumnNames) -> DataFrame:
    if isinstance(layout, ParquetLayout):
        return read_parquet(spark, uris, layout, names)
    if isinstance(layout, JsonLayout):
        return read_json_lines(spark, uris, layout)
    return read_text(spark, uris, layout)


def _described(layout: AnyLayout) -> str:
    if isinstance(layout, ParquetLayout):
        return "parquet"
    if isinstance(layout, JsonLayout):
        return "jsonl"
    return f"{layout.format}, {'with header' if layout.header is not None else 'no header'}"
