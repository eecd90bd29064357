"""Reader of raw interactions: source files of any supported format to one DataFrame of text.

Columns, all strings: ``raw`` (the unparsed row, for reports), ``source`` (its file, URL-encoded), ``problem``
(null, or why the row cannot be parsed), ``user``, ``item``, ``time`` and ``value`` (the event type or the
weight; null if not needed). Values are checked later, in :mod:`ml.preparation.clean.validation`.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import reduce
from typing import Any, NamedTuple

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.detect.columns import ColumnNames
from ml.preparation.detect.file_format import HEAD_BYTES, detect_format
from ml.preparation.detect.input_error import beside_readable
from ml.preparation.detect.layout import AnyLayout, JsonLayout, TableLayout
from ml.preparation.detect.record import record_line, record_of
from ml.preparation.detect.rows import detect_rows
from ml.preparation.detect.text_layout import TextHints
from ml.preparation.detect.time_column import time_form_of, times_of
from ml.preparation.errors import InputError, root_cause
from ml.preparation.read.columnar import read_table, table_layout
from ml.preparation.read.json_lines import read_json_lines
from ml.preparation.read.multiline import read_multiline_text
from ml.preparation.read.text import read_text
from ml.preparation.read.times import UTC, with_timestamp
from ml.preparation.spark.storage import Storage, StoredFile
from ml.preparation.spark.table_schema import read_schema

_log = logging.getLogger(__name__)
_N_TIMES = 200  # read from Parquet files, whose times may be numbers of any unit
_MAX_CONCURRENT_OPENS = 8  # opening a file on S3 is latency, not CPU time


class ReadEvents(NamedTuple):
    """Rows of the input, and how they were read."""

    rows: DataFrame  # the columns in the description of this module, and `timestamp`
    layouts: tuple[dict[str, Any], ...]  # of ml.preparation.detect.record, for the manifest


def read_events(
    spark: SparkSession, storage: Storage, files: Sequence[StoredFile], file_format: str, names: ColumnNames
) -> ReadEvents:
    """Rows of all files, which may have different formats and headers.

    Args:
        spark: the session.
        storage: file systems of the files.
        files: the files to read, at least one.
        file_format: ``auto`` or the format of all files.
        names: the columns that are needed.

    Raises:
        InputError: a file cannot be read, has an unsupported format or lacks a column; all files are blank.
    """

    def layout_of(each: StoredFile) -> tuple[AnyLayout, tuple[str, ...]] | InputError | None:
        try:
            return _layout(spark, storage, each.uri, file_format, names)
        except InputError as error:
            return error

    with ThreadPoolExecutor(_MAX_CONCURRENT_OPENS) as pool:
        outcomes = list(pool.map(layout_of, files))
    refused = [each for each in outcomes if isinstance(each, InputError)]
    found = [each for each in outcomes if not isinstance(each, InputError)]
    if refused:
        readable = next((f.uri for f, each in zip(files, outcomes) if isinstance(each, tuple)), None)
        raise beside_readable(refused[0], readable)
    uris_by_layout: defaultdict[AnyLayout, list[str]] = defaultdict(list)
    skipped: defaultdict[AnyLayout, set[str]] = defaultdict(set)
    for each, detected in zip(files, found):
        if detected is not None:
            uris_by_layout[detected[0]].append(each.uri)
            skipped[detected[0]].update(detected[1])
    if not uris_by_layout:
        raise InputError(f"{files[0].uri}: only blank lines; it needs at least one event")
    parts, layouts = [], []
    for layout, uris in uris_by_layout.items():
        rows, form = _timed(_read(spark, uris, layout, sorted(skipped[layout])), uris, layout, names)
        parts.append(rows)
        layouts.append(record_of(layout, form, names.time_zone or UTC, len(uris)))
        _log.info("read: %s", record_line(layouts[-1]))
    return ReadEvents(reduce(DataFrame.unionByName, parts), tuple(layouts))


def _layout(
    spark: SparkSession, storage: Storage, uri: str, file_format: str, names: ColumnNames
) -> tuple[AnyLayout, tuple[str, ...]] | None:
    """Layout of a file and the lines to skip at its start; None if all its lines are blank."""
    try:
        head = storage.read_head(uri, HEAD_BYTES)
    except (Py4JError, PySparkException) as error:
        raise InputError(f"{uri}: cannot be read: {root_cause(error)}") from error
    detected = detect_format(head) if file_format == "auto" else file_format
    if detected in ("parquet", "orc"):
        try:
            schema = read_schema(spark, storage, uri, detected)
        except (Py4JError, PySparkException) as error:
            kind = {"parquet": "Parquet", "orc": "ORC"}[detected]
            raise InputError(f"{uri}: cannot be read as {kind}: {root_cause(error)}") from error
        return table_layout(schema, names, (), uri), ()
    found = detect_rows(head, detected, TextHints(), names, uri, is_cut=len(head) == HEAD_BYTES)
    if found is None:
        return None
    form, warning = time_form_of(times_of(found.samples, found.layout), names, uri)
    for each in (*found.warnings, *([warning] if warning else [])):
        _log.warning("read: %s: %s", uri, each)
    return replace(found.layout, time_form=form), found.skipped


def _read(spark: SparkSession, uris: Sequence[str], layout: AnyLayout, skipped: Sequence[str]) -> DataFrame:
    if isinstance(layout, TableLayout):
        return read_table(spark, uris, layout)
    if isinstance(layout, JsonLayout):
        return read_json_lines(spark, uris, layout)
    if layout.is_multiline:
        return read_multiline_text(spark, uris, layout, skipped)
    return read_text(spark, uris, layout, skipped)


def _timed(
    rows: DataFrame, uris: Sequence[str], layout: AnyLayout, names: ColumnNames
) -> tuple[DataFrame, str | None]:
    """Rows with ``timestamp``, and the form of the times: in a Parquet file, that of its first ones."""
    if not names.has_time:
        return rows.withColumn("timestamp", F.lit(None).cast("bigint")), None
    if isinstance(layout, TableLayout):
        timed = rows.where(F.col("time").isNotNull()).select("source", "time")
        try:
            first = timed.limit(_N_TIMES).collect()
        except (Py4JError, PySparkException) as error:
            raise InputError(f"{uris[0]}: damaged file: {root_cause(error)}") from error
        source = first[0]["source"] if first else ""
        form, warning = time_form_of([row["time"] for row in first], names, source)
        if warning:
            _log.warning("read: %s", warning)
    else:
        form = layout.time_form
    return with_timestamp(rows, form, names.time_zone or UTC), form
