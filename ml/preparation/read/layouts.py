"""Layout of each file of an input: as the previous run read it, or as it is detected."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ml.preparation.detect.as_before import (
    PreviousLayouts,
    change_error,
    changed_types,
    fits,
    hints_as_before,
    is_same_layout,
    names_as_before,
    new_columns,
)
from ml.preparation.detect.columns import ColumnNames
from ml.preparation.detect.file_format import HEAD_BYTES, format_of
from ml.preparation.detect.hints import TextHints
from ml.preparation.detect.layout import AnyLayout, TableLayout, TextLayout
from ml.preparation.detect.partitions import partitions_of
from ml.preparation.detect.parts import hints_of_part, is_part, names_of_part
from ml.preparation.detect.record import record_of
from ml.preparation.detect.rows import DetectedRows, detect_rows
from ml.preparation.detect.time_column import time_form_of, times_of
from ml.preparation.detect.times import UTC
from ml.preparation.errors import InputError, root_cause
from ml.preparation.read.columnar import table_layout
from ml.preparation.spark.storage import Storage
from ml.preparation.spark.table_schema import TableSchema, read_schema
from ml.settings.preparation import ReadSettings

_log = logging.getLogger("ml.preparation")
_KINDS = {"parquet": "Parquet", "orc": "ORC"}


@dataclass(frozen=True)
class FileLayout:
    """Layout of a file, and the lines to skip at its start."""

    layout: AnyLayout
    skipped: tuple[str, ...] = ()


class LayoutFinder:
    """Finds the layout of each file.

    Args:
        spark: the session.
        storage: file systems of the files.
        read: the configured format and properties of text.
        names: the columns that are needed.
        previous: how the previous run read the input; None to detect all layouts.
    """

    def __init__(
        self,
        spark: SparkSession,
        storage: Storage,
        read: ReadSettings,
        names: ColumnNames,
        previous: PreviousLayouts | None = None,
    ) -> None:
        self._spark, self._storage = spark, storage
        self._read, self._names, self._previous = read, names, previous

    def find(self, uri: str) -> FileLayout | None:
        """Layout of a file; None if all its lines are blank.

        Raises:
            InputError: the file cannot be read, a column cannot be identified, or the file has changed since
                the previous run.
        """
        try:
            head = self._storage.read_head(uri, HEAD_BYTES)
        except (Py4JError, PySparkException) as error:
            raise InputError(f"{uri}: cannot be read: {root_cause(error)}") from error
        file_format = format_of(head, self._read)
        if file_format in _KINDS:
            return FileLayout(self._table(uri, file_format))
        return self._rows(uri, head, file_format)

    def find_part(self, uri: str, first: TextLayout) -> FileLayout | None:
        """Layout of a file without a header that is a later part of another file; None if it is none."""
        head = self._storage.read_head(uri, HEAD_BYTES)
        if format_of(head, self._read) in _KINDS or self._read.header is not None:
            return None
        names = names_of_part(first, self._names)
        try:
            found = self._detected(uri, head, "text", hints_of_part(first), names)
        except InputError:
            return None
        if found is None or not is_part(first, found.layout, found.samples):
            return None
        _log.info("read: %s: no header: its columns are those of a file that has one", uri)
        return FileLayout(found.layout, found.skipped)

    # -- tables ----------------------------------------------------------------------------------
    def _table(self, uri: str, file_format: str) -> TableLayout:
        try:
            schema = read_schema(self._spark, self._storage, uri, file_format)
        except (Py4JError, PySparkException) as error:
            cause = root_cause(error)
            raise InputError(f"{uri}: cannot be read as {_KINDS[file_format]}: {cause}") from error
        keys = tuple(partitions_of(uri))
        if self._previous is None:
            return table_layout(schema, self._names, keys, uri)
        for record in self._previous.of_format(file_format):
            names = names_as_before(self._names, record)
            try:
                found = replace(table_layout(schema, names, keys, uri), time_form=names.time_format)
            except InputError:
                continue
            self._warn(uri, list(changed_types(record, record_of(found, None, UTC, 1))))
            return found
        raise change_error(uri, self._previous, self._record_of_table(uri, schema))

    def _record_of_table(self, uri: str, schema: TableSchema) -> Mapping[str, Any] | InputError:
        try:
            return record_of(table_layout(schema, self._names, tuple(partitions_of(uri)), uri), None, UTC, 1)
        except InputError as error:
            return error

    # -- delimited text and JSON -------------------------------------------------------------------
    def _rows(self, uri: str, head: bytes, file_format: str) -> FileLayout | None:
        hints = TextHints.from_settings(self._read)
        try:
            now = self._detected(uri, head, file_format, hints, self._names)
        except InputError as error:
            if self._previous is None:
                raise
            return self._as_before(uri, head, file_format, self._previous, error)
        if now is None:
            return None
        if self._previous is not None:
            return self._as_before(uri, head, file_format, self._previous, now)
        self._warn(uri, now.warnings)
        return FileLayout(now.layout, now.skipped)

    def _as_before(
        self,
        uri: str,
        head: bytes,
        file_format: str,
        previous: PreviousLayouts,
        now: DetectedRows | InputError,
    ) -> FileLayout:
        kind = "jsonl" if file_format == "jsonl" else "text"
        found = now if isinstance(now, DetectedRows) else None
        record_now = self._record(now) if isinstance(now, DetectedRows) else now
        hints = TextHints.from_settings(self._read)
        for record in previous.of_format(kind):
            if not isinstance(record_now, InputError) and is_same_layout(record, record_now):
                before: DetectedRows | None = found
            else:
                names = names_as_before(self._names, record)
                try:
                    before = self._detected(uri, head, file_format, hints_as_before(hints, record), names)
                except InputError:
                    continue
                if before is None or not fits(record, before, found):
                    continue
            assert before is not None  # noqa: S101 (for the type checker)
            changed = new_columns(record, self._record(before))
            self._warn(uri, [changed] if changed else [])
            return FileLayout(before.layout, before.skipped)
        raise change_error(uri, previous, record_now)

    def _detected(
        self, uri: str, head: bytes, file_format: str, hints: TextHints, names: ColumnNames
    ) -> DetectedRows | None:
        is_cut, partitions = len(head) == HEAD_BYTES, partitions_of(uri)
        found = detect_rows(head, file_format, hints, names, uri, is_cut=is_cut, partitions=partitions)
        if found is None:
            return None
        form, warning = time_form_of(times_of(found.samples, found.layout), names, uri)
        warnings = (*found.warnings, *([warning] if warning else []))
        return replace(found, layout=replace(found.layout, time_form=form), warnings=warnings)

    def _record(self, found: DetectedRows) -> dict[str, Any]:
        form = found.layout.time_form if self._names.has_time else None
        return record_of(found.layout, form, self._names.time_zone or UTC, 1)

    def _warn(self, uri: str, warnings: Sequence[str]) -> None:
        for each in warnings:
            _log.warning("read: %s: %s", uri, each)
