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
from functools import reduce
from typing import Any, NamedTuple

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.detect.as_before import PreviousLayouts, change_error, is_same_form
from ml.preparation.detect.columns import ColumnNames
from ml.preparation.detect.input_error import beside_readable
from ml.preparation.detect.layout import AnyLayout, JsonLayout, TableLayout
from ml.preparation.detect.parts import first_part, may_be_part
from ml.preparation.detect.record import record_line, record_of
from ml.preparation.detect.time_column import time_form_of
from ml.preparation.detect.times import UTC
from ml.preparation.errors import InputError, root_cause
from ml.preparation.read.columnar import read_table
from ml.preparation.read.json_lines import read_json_lines
from ml.preparation.read.layouts import FileLayout, LayoutFinder
from ml.preparation.read.multiline import read_multiline_text
from ml.preparation.read.text import read_text
from ml.preparation.read.times import with_timestamp
from ml.preparation.spark.storage import Storage, StoredFile
from ml.settings.preparation import ReadSettings

_log = logging.getLogger(__name__)
_N_TIMES = 200  # read from Parquet files, whose times may be numbers of any unit
_MAX_CONCURRENT_OPENS = 8  # opening a file on S3 is latency, not CPU time


class ReadEvents(NamedTuple):
    """Rows of the input, and how they were read."""

    rows: DataFrame  # the columns in the description of this module, and `timestamp`
    layouts: tuple[dict[str, Any], ...]  # of ml.preparation.detect.record, for the manifest


def read_events(
    spark: SparkSession,
    storage: Storage,
    files: Sequence[StoredFile],
    read: ReadSettings,
    names: ColumnNames,
    *,
    previous: PreviousLayouts | None = None,
) -> ReadEvents:
    """Rows of all files, which may have different formats and headers.

    Args:
        spark: the session.
        storage: file systems of the files.
        files: the files to read, at least one.
        read: the configured format.
        names: the columns that are needed.
        previous: how the previous run read the input; None to detect all layouts.

    Raises:
        InputError: a file cannot be read, has an unsupported format, lacks a column or has changed since the
            previous run; all files are blank.
    """
    finder = LayoutFinder(spark, storage, read, names, previous)

    def layout_of(each: StoredFile) -> FileLayout | InputError | None:
        try:
            return finder.find(each.uri)
        except InputError as error:
            return error

    with ThreadPoolExecutor(_MAX_CONCURRENT_OPENS) as pool:
        outcomes = list(pool.map(layout_of, files))
    outcomes = _with_parts(finder, files, outcomes)
    refused = [each for each in outcomes if isinstance(each, InputError)]
    found = [each for each in outcomes if not isinstance(each, InputError)]
    if refused:
        readable = next((f.uri for f, each in zip(files, outcomes) if isinstance(each, FileLayout)), None)
        raise beside_readable(refused[0], readable)
    uris_by_layout: defaultdict[AnyLayout, list[str]] = defaultdict(list)
    skipped: defaultdict[AnyLayout, set[str]] = defaultdict(set)
    for each, detected in zip(files, found):
        if detected is not None:
            uris_by_layout[detected.layout].append(each.uri)
            skipped[detected.layout].update(detected.skipped)
    if not uris_by_layout:
        raise InputError(f"{files[0].uri}: only blank lines; it needs at least one event")
    parts, layouts = [], []
    for layout, uris in uris_by_layout.items():
        rows, form = _timed(
            _read(spark, uris, layout, sorted(skipped[layout])), uris, layout, names, previous
        )
        parts.append(rows)
        layouts.append(record_of(layout, form, names.time_zone or UTC, len(uris)))
        _log.info("read: %s", record_line(layouts[-1]))
    return ReadEvents(reduce(DataFrame.unionByName, parts), tuple(layouts))


def _with_parts(
    finder: LayoutFinder, files: Sequence[StoredFile], outcomes: Sequence[FileLayout | InputError | None]
) -> list[FileLayout | InputError | None]:
    """The layouts, with the header of the first part for files without one."""
    first = first_part([each.layout for each in outcomes if isinstance(each, FileLayout)])
    found = list(outcomes)
    for number, (file, outcome) in enumerate(zip(files, outcomes)):
        layout = outcome.layout if isinstance(outcome, FileLayout) else None
        if first is not None and outcome is not None and may_be_part(layout):
            found[number] = finder.find_part(file.uri, first) or outcome
    return found


def _read(spark: SparkSession, uris: Sequence[str], layout: AnyLayout, skipped: Sequence[str]) -> DataFrame:
    if isinstance(layout, TableLayout):
        return read_table(spark, uris, layout)
    if isinstance(layout, JsonLayout):
        return read_json_lines(spark, uris, layout)
    if layout.is_multiline:
        return read_multiline_text(spark, uris, layout, skipped)
    return read_text(spark, uris, layout, skipped)


def _timed(
    rows: DataFrame,
    uris: Sequence[str],
    layout: AnyLayout,
    names: ColumnNames,
    previous: PreviousLayouts | None,
) -> tuple[DataFrame, str | None]:
    """Rows with ``timestamp``, and the form of the times: in a Parquet file, that of its first ones."""
    if not names.has_time:
        return rows.withColumn("timestamp", F.lit(None).cast("bigint")), None
    if isinstance(layout, TableLayout):
        form = _form_of_table(rows, uris, layout, names, previous)
    else:
        form = layout.time_form
    return with_timestamp(rows, form, names.time_zone or UTC), form


def _form_of_table(
    rows: DataFrame,
    uris: Sequence[str],
    layout: TableLayout,
    names: ColumnNames,
    previous: PreviousLayouts | None,
) -> str:
    timed = rows.where(F.col("time").isNotNull()).select("source", "time")
    try:
        first = timed.limit(_N_TIMES).collect()
    except (Py4JError, PySparkException) as error:
        raise InputError(f"{uris[0]}: damaged file: {root_cause(error)}") from error
    source = first[0]["source"] if first else ""
    times = [row["time"] for row in first]
    form, warning = time_form_of(times, names, source)
    if warning:
        _log.warning("read: %s", warning)
    if layout.time_form is None or is_same_form(times, layout.time_form, form):
        return layout.time_form or form
    assert previous is not None  # noqa: S101 (the form is that of the previous run)
    raise change_error(source, previous, record_of(layout, form, names.time_zone or UTC, len(uris)))
