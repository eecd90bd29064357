"""Inspection of a local input without Spark: the form, columns and sampled rows of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ml.preparation.detect.columns import ColumnNames, find_columns, require_columns
from ml.preparation.detect.containers import FEATHER, FEATHER_REFUSAL, START_BYTES, content_of
from ml.preparation.detect.dialect import LINE_END, split_line
from ml.preparation.detect.encoding import decode
from ml.preparation.detect.file_format import BYTE_ORDER_MARK, HEAD_BYTES, format_of
from ml.preparation.detect.hints import TextHints
from ml.preparation.detect.input_error import InputError, beside_readable
from ml.preparation.detect.json_rows import parse_objects, sample_paths
from ml.preparation.detect.layout import AnyLayout, JsonLayout, TableLayout, TextLayout
from ml.preparation.detect.lists import exploded, refuse_lists
from ml.preparation.detect.local_files import FileSample, data_files, input_root, sample_file
from ml.preparation.detect.partitions import partitions_of
from ml.preparation.detect.parts import first_part, hints_of_part, is_part, may_be_part, names_of_part
from ml.preparation.detect.record import header_of, record_of
from ml.preparation.detect.rows import DetectedRows, detect_rows
from ml.preparation.detect.samples import Samples
from ml.preparation.detect.tables import AVRO_MAGIC, avro_columns, columnar_format, sample_table
from ml.preparation.detect.text_layout import described_text
from ml.preparation.detect.time_column import time_form_of, times_of
from ml.preparation.detect.times import UTC
from ml.settings.preparation import ReadSettings, WeightSettings

_MAX_FILES = 12  # of a folder
AVRO_FORM = "Avro, of which only the names of the columns are looked at"
_MAX_OBJECTS = 5_000  # of JSON lines, which take longer to parse


@dataclass(frozen=True)
class Explained:
    """How one file would be read, and what was seen in its sample."""

    name: str
    form: str  # format, separator, encoding, header
    positions: dict[str, int | None]
    samples: Samples
    n_rows: int
    is_whole: bool  # whether the sample has all rows
    layout: AnyLayout
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
    names, hints = ColumnNames.from_settings(read, weights), TextHints.from_settings(read)
    files = data_files(path)[:_MAX_FILES]

    def explain(file: Path, hints: TextHints, names: ColumnNames) -> Explained | InputError:
        try:
            return _explain_file(file, input_root(path), read, hints, names)
        except InputError as error:
            return error

    found = [explain(file, hints, names) for file in files]
    first = first_part([each.layout for each in found if isinstance(each, Explained)])
    if first is not None and read.header is None:
        for number, each in enumerate(found):
            if may_be_part(each.layout if isinstance(each, Explained) else None):
                part = explain(files[number], hints_of_part(first), names_of_part(first, names))
                if isinstance(part, Explained) and is_part(first, part.layout, part.samples):
                    found[number] = part
    errors = [each for each in found if isinstance(each, InputError)]
    explained = [each for each in found if isinstance(each, Explained)]
    if errors:
        raise beside_readable(errors[0], explained[0].name if explained else None)
    if not any(each.samples.n_rows or each.form == AVRO_FORM for each in explained):
        raise InputError(f"{path}: {_no_rows(explained[0].layout)}; it needs at least one event")
    return explained


def _no_rows(layout: AnyLayout) -> str:
    if not isinstance(layout, TextLayout):
        return "no rows"
    return f"no rows of {layout.n_columns} fields, as many as its first line has"


def _explain_file(
    file: Path, root: Path, read: ReadSettings, hints: TextHints, names: ColumnNames
) -> Explained:
    sample = sample_file(file)
    partitions = partitions_of(file.relative_to(root).as_posix()) if root.is_dir() else {}
    if not sample.head.strip():
        raise InputError(f"{file}: only blank lines; it needs at least one event")
    if content_of(sample.head[:START_BYTES]) == FEATHER:
        raise InputError(f"{file}: {FEATHER_REFUSAL}")
    if sample.head.startswith(AVRO_MAGIC) or columnar_format(sample.head) is not None:
        return _explain_table(file, sample, partitions, names)
    head = sample.head[:HEAD_BYTES]
    is_cut = sample.is_cut or len(sample.head) > HEAD_BYTES
    found = detect_rows(
        head, format_of(head, read), hints, names, str(file), is_cut=is_cut, partitions=partitions
    )
    if found is None:
        raise InputError(f"{file}: only blank lines; it needs at least one event")
    samples, n_rows = _sampled(sample, found, partitions)
    form, zone = _times(found.layout, found.samples, names, str(file))
    layout = found.layout if form is None else replace(found.layout, time_form=form)
    positions, described = _positions(found)
    record, is_whole = record_of(layout, form, zone, 1), not sample.is_cut
    return Explained(
        str(file), described, positions, samples, n_rows, is_whole, layout, record, found.warnings
    )


def _explain_table(
    file: Path, sample: FileSample, partitions: Mapping[str, str], names: ColumnNames
) -> Explained:
    kind = columnar_format(sample.head)
    try:
        if kind is None:  # Avro is converted by the cluster
            described = AVRO_FORM
            samples, n_rows = Samples(avro_columns(sample.head), ()), 0
        else:
            described = kind
            samples, n_rows = sample_table(file, kind)
        samples = samples.with_constants(partitions)
        choice = find_columns(samples.columns, names, samples)
        if kind is not None and None in choice.positions.values():
            samples = sample_table(file, kind, is_nested=True)[0].with_constants(partitions)
            choice = find_columns(samples.columns, names, samples)
    except (InputError, ValueError) as error:
        raise InputError(f"{file}: {error}") from None
    positions = require_columns(choice, samples.columns, names, str(file))
    refuse_lists(samples, positions, names, str(file), is_text=False)
    table = _table_layout(kind or "avro", positions, samples)
    record = record_of(table, *_times(table, samples, names, str(file)), 1)
    is_whole, warnings = samples.n_rows == n_rows, tuple(choice.warnings)
    return Explained(str(file), described, positions, samples, n_rows, is_whole, table, record, warnings)


def _times(layout: AnyLayout, samples: Samples, names: ColumnNames, uri: str) -> tuple[str | None, str]:
    """Form and zone of the times, by the first of them, as in the job."""
    form = time_form_of(times_of(samples, layout), names, uri)[0] if names.has_time else None
    return form, names.time_zone or UTC


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


def _sampled(sample: FileSample, found: DetectedRows, partitions: Mapping[str, str]) -> tuple[Samples, int]:
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
        samples = _parsed(lines, found, partitions)
    if not sample.is_cut:
        return samples, samples.n_rows + samples.n_left_out
    is_plain = bool(chunks)
    return samples, round(n_seen * sample.n_bytes / seen_bytes) if is_plain else n_seen


def _parsed(lines: list[str], found: DetectedRows, partitions: Mapping[str, str]) -> Samples:
    layout = found.layout
    used = {key: partitions[key] for key in layout.partitions}
    if isinstance(layout, JsonLayout):
        paths = [each for each in found.samples.columns if each not in used]
        return sample_paths(paths, parse_objects(lines[:_MAX_OBJECTS])[0]).with_constants(used)
    left_out = {layout.header, *found.skipped}
    kept = [line for line in lines if line not in left_out]
    if layout.comment is not None:
        kept = [line for line in kept if not line.startswith(layout.comment)]
    rows = [split_line(line, layout.separator, layout.quote, layout.escape) for line in kept]
    samples = Samples(header_of(layout), rows).with_constants(used)
    return exploded(samples, layout.item) if layout.has_item_lists else samples
