"""Inspection of a local input without Spark: the form, columns and sampled rows of its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.preparation.detect.columns import ColumnNames, find_columns, require_columns
from ml.preparation.detect.dialect import LINE_END, split_line
from ml.preparation.detect.encoding import decode
from ml.preparation.detect.file_format import BYTE_ORDER_MARK, HEAD_BYTES, format_of
from ml.preparation.detect.hints import TextHints
from ml.preparation.detect.input_error import InputError, beside_readable
from ml.preparation.detect.json_rows import parse_objects, sample_paths
from ml.preparation.detect.layout import AnyLayout, JsonLayout, TableLayout, TextLayout
from ml.preparation.detect.local_files import FileSample, data_files, sample_file
from ml.preparation.detect.record import header_of, record_of
from ml.preparation.detect.rows import DetectedRows, detect_rows
from ml.preparation.detect.samples import Samples
from ml.preparation.detect.tables import columnar_format, sample_table
from ml.preparation.detect.text_layout import described_text
from ml.preparation.detect.time_column import time_form_of, times_of
from ml.preparation.detect.times import UTC
from ml.settings.preparation import ReadSettings, WeightSettings

_MAX_FILES = 12  # of a folder
_MAX_OBJECTS = 5_000  # of JSON lines, which take longer to parse
_PARTITION = re.compile(r"([^/=]+)=([^/]*)")


@dataclass(frozen=True)
class Explained:
    """How one file would be read, and what was seen in its sample."""

    name: str
    form: str  # format, separator, encoding, header
    positions: dict[str, int | None]
    samples: Samples
    n_rows: int
    is_whole: bool  # whether the sample has all rows
    record: dict[str, Any]  # as in the manifest of a run
    warnings: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, str]:
        """The column of each role."""
        return {
            role: self.samples.columns[position]
            for role, position in self.positions.items()
            if position is not None
        }


def explain_input(path: Path, read: ReadSettings, weights: WeightSettings) -> list[Explained]:
    """How the job would read a local file or folder.

    Args:
        path: the file or folder; of a folder, the first files are looked at.
        read: configured format and columns.
        weights: how the weight of an event is determined.

    Returns:
        The files that were looked at.

    Raises:
        InputError: a file cannot be read, or a column cannot be identified; the message names the option.
    """
    names = ColumnNames.from_settings(read, weights)
    explained: list[Explained] = []
    errors: list[InputError] = []
    for file in data_files(path)[:_MAX_FILES]:
        try:
            explained.append(_explain_file(file, path, read, names))
        except InputError as error:
            errors.append(error)
    if errors:
        raise beside_readable(errors[0], explained[0].name if explained else None)
    return explained


def _explain_file(file: Path, root: Path, read: ReadSettings, names: ColumnNames) -> Explained:
    sample = sample_file(file)
    partitions = dict(_PARTITION.findall(file.relative_to(root).parent.as_posix())) if root.is_dir() else {}
    if not sample.head.strip():
        raise InputError(f"{file}: only blank lines; it needs at least one event")
    kind = columnar_format(sample.head)
    if kind is not None:
        samples, n_rows = sample_table(file, kind)
        samples = _with_partitions(samples, partitions)
        try:
            choice = find_columns(samples.columns, names, samples)
        except InputError as error:
            raise InputError(f"{file}: {error}") from None
        positions = require_columns(choice, samples.columns, names, str(file))
        is_whole = samples.n_rows == n_rows
        record = _record(_table_layout(kind, positions, samples), samples, names, str(file))
        warnings = tuple(choice.warnings)
        return Explained(str(file), kind, positions, samples, n_rows, is_whole, record, warnings)
    head = sample.head[:HEAD_BYTES]
    is_cut = sample.is_cut or len(sample.head) > HEAD_BYTES
    hints = TextHints.from_settings(read)
    found = detect_rows(head, format_of(head, read), hints, names, str(file), is_cut=is_cut)
    if found is None:
        raise InputError(f"{file}: only blank lines; it needs at least one event")
    samples, n_rows = _sampled(sample, found)
    positions, form = _positions(found)
    record = _record(found.layout, found.samples, names, str(file))
    return Explained(str(file), form, positions, samples, n_rows, not sample.is_cut, record, found.warnings)


def _record(layout: AnyLayout, samples: Samples, names: ColumnNames, uri: str) -> dict[str, Any]:
    """How the job would read the file, as in the manifest; the times have the form of the first ones."""
    form = time_form_of(times_of(samples, layout), names, uri)[0] if names.has_time else None
    return record_of(layout, form, names.time_zone or UTC, 1)


def _table_layout(kind: str, positions: dict[str, int | None], samples: Samples) -> TableLayout:
    columns: dict[str, Any] = {
        role: None if position is None else samples.columns[position] for role, position in positions.items()
    }
    return TableLayout(kind.lower(), **columns)


def _positions(found: DetectedRows) -> tuple[dict[str, int | None], str]:
    layout = found.layout
    roles = ("user", "item", "time", "clock", "value")
    chosen: dict[str, Any] = {role: getattr(layout, role) for role in roles}
    if isinstance(layout, JsonLayout):
        columns = list(found.samples.columns)
        return {
            role: None if path is None else columns.index(path) for role, path in chosen.items()
        }, "JSON lines"
    return chosen, described_text(layout)


def _sampled(sample: FileSample, found: DetectedRows) -> tuple[Samples, int]:
    """The rows of a sample, and the number of rows of the whole file, estimated if it goes on."""
    layout = found.layout
    encoding = layout.encoding
    chunks = sample.chunks if not encoding.startswith("utf-16") else ()
    head = decode(sample.head, encoding).lstrip(BYTE_ORDER_MARK)
    if isinstance(layout, TextLayout) and layout.is_multiline:
        n_seen, samples = found.samples.n_rows, found.samples
        seen_bytes = min(len(sample.head), HEAD_BYTES)
    else:
        lines = [line for line in LINE_END.split(head) if line.strip()]
        lines = lines[:-1] if sample.is_cut else lines
        seen_bytes = sum(len(line.encode()) + 1 for line in lines) or 1
        n_seen = len(lines)
        for chunk in chunks:
            lines += [line for line in LINE_END.split(decode(chunk, encoding)) if line.strip()]
        samples = _parsed(lines, found)
    if not sample.is_cut:
        return samples, samples.n_rows
    is_plain = bool(chunks)
    return samples, round(n_seen * sample.n_bytes / seen_bytes) if is_plain else n_seen


def _parsed(lines: list[str], found: DetectedRows) -> Samples:
    layout = found.layout
    if isinstance(layout, JsonLayout):
        return sample_paths(found.samples.columns, parse_objects(lines[:_MAX_OBJECTS])[0])
    left_out = {layout.header, *found.skipped}
    kept = [line for line in lines if line not in left_out]
    if layout.comment is not None:
        kept = [line for line in kept if not line.startswith(layout.comment)]
    rows = [split_line(line, layout.separator, layout.quote, layout.escape) for line in kept]
    return Samples(header_of(layout), rows)


def _with_partitions(samples: Samples, partitions: dict[str, str]) -> Samples:
    new = {key: value for key, value in partitions.items() if key not in samples.columns}
    if not new:
        return samples
    return Samples((*samples.columns, *new), [[*row, *new.values()] for row in samples.rows])
