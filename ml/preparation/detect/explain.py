"""``python -m ml.preparation --explain FILE...``: how the job would read an input, without Spark.

``make up`` looks at its data in the same way before it deploys anything.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.preparation.detect.columns import ColumnNames, find_columns, printable, require_columns
from ml.preparation.detect.dialect import LINE_END, split_line
from ml.preparation.detect.encoding import decode
from ml.preparation.detect.file_format import HEAD_BYTES, detect_format
from ml.preparation.detect.input_error import InputError, beside_readable
from ml.preparation.detect.json_rows import parse_objects, sample_paths
from ml.preparation.detect.layout import JsonLayout, TextLayout
from ml.preparation.detect.local_files import FileSample, data_files, sample_file
from ml.preparation.detect.record import header_of
from ml.preparation.detect.rows import DetectedRows, detect_rows
from ml.preparation.detect.samples import Samples
from ml.preparation.detect.tables import columnar_format, sample_table
from ml.preparation.detect.text_layout import TextHints, described_text
from ml.preparation.detect.time_summary import summarize_times
from ml.preparation.detect.times import AmbiguousTimeError
from ml.preparation.heavy_ids import is_heavy
from ml.settings.fields import SettingError
from ml.settings.preparation import (
    ReadSettings,
    WeightSettings,
    add_step_arguments,
    flag_name,
    input_settings,
)

_MAX_FILES = 12  # of a folder
_MAX_OBJECTS = 5_000  # of JSON lines, which take longer to parse
_MAX_TYPES = 12  # event types that are listed
_MAX_NULL_SHARE = 0.05  # of the rows: more are warned of
_MIN_ROWS = 100  # for a warning about shares
PERMANENT = "to make this permanent, in Pulumi.<stage>.yaml:"
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


def described(explained: Sequence[Explained], read: ReadSettings, weights: WeightSettings) -> Iterator[str]:
    """The lines of the explanation: form, columns with examples, times, weights, warnings."""
    shown: set[tuple[str, tuple[str, ...]]] = set()
    for each in explained:
        key = (each.form, tuple(each.columns.values()))
        if key in shown:
            continue
        shown.add(key)
        n_same = sum((one.form, tuple(one.columns.values())) == key for one in explained)
        more = f" and {n_same - 1} more" if n_same > 1 else ""
        about = "" if each.is_whole else "about "
        yield f"{each.name}{more}: {each.form}; {about}{each.n_rows:,} rows"
        yield from _described_columns(each, read, weights)
        yield from (f"  warning: {warning}" for warning in _warnings(each))


def stage_lines(explained: Sequence[Explained], read: ReadSettings, weights: WeightSettings) -> list[str]:
    """Lines of a stage file that make the choice of the columns permanent."""
    columns = explained[0].columns
    lines = ["ncf:spark:", "  job:"]
    lines += [
        f"    {role}_column: {_yaml(columns[role])}" for role in ("user", "item", "time") if role in columns
    ]
    lines += [
        f"    {name}: {_yaml(given)}"
        for name in ("time_format", "time_zone")
        if (given := getattr(read, name)) is not None
    ]
    lines += ["    no_time: true"] if read.no_time else []
    if weights.event_weights and "value" in columns:
        lines.append(f"    event_column: {_yaml(columns['value'])}")
        given = ", ".join(f"{_yaml(name)}: {weight:g}" for name, weight in weights.event_weights.items())
        lines.append(f"    event_weights: {{{given}}}")
    elif weights.weight_column is not None and "value" in columns:
        lines.append(f"    weight_column: {_yaml(columns['value'])}")
    return lines


def main(argv: Sequence[str]) -> int:
    """Print how the job would read the files after ``--explain``; returns the exit status."""
    parser = argparse.ArgumentParser(prog="ml.preparation --explain", description=main.__doc__)
    parser.add_argument("--explain", nargs="+", type=Path, metavar="FILE", required=True)
    add_step_arguments(parser)
    arguments = parser.parse_args(argv)
    try:
        read, weights = input_settings(arguments)
    except SettingError as error:
        sys.stderr.write(f"ml.preparation: {error.flag_text(flag_name)}\n")
        return 2
    status = 0
    for path in arguments.explain:
        try:
            lines = explanation(path, read, weights)
        except InputError as error:
            sys.stderr.write(f"ml.preparation: {' '.join(str(error).split())}\n")
            status = 2
        else:
            sys.stdout.write("\n".join([*lines, ""]))
    return status


def explanation(path: Path, read: ReadSettings, weights: WeightSettings) -> list[str]:
    """How the job would read a local file or folder, and the lines of a stage file that make it permanent.

    Raises:
        InputError: as `explain_input`.
    """
    explained = explain_input(path, read, weights)
    lines = [*described(explained, read, weights), PERMANENT]
    return [*lines, *(f"  {line}" for line in stage_lines(explained, read, weights))]


# -- one file ------------------------------------------------------------------------------------
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
        return Explained(str(file), kind, positions, samples, n_rows, is_whole, tuple(choice.warnings))
    file_format = detect_format(sample.head[:HEAD_BYTES]) if read.format == "auto" else read.format
    is_cut = sample.is_cut or len(sample.head) > HEAD_BYTES
    found = detect_rows(
        sample.head[:HEAD_BYTES], file_format, hints_of(read), names, str(file), is_cut=is_cut
    )
    if found is None:
        raise InputError(f"{file}: only blank lines; it needs at least one event")
    samples, n_rows = _sampled(sample, found)
    positions, form = _positions(found)
    return Explained(str(file), form, positions, samples, n_rows, not sample.is_cut, found.warnings)


def hints_of(read: ReadSettings) -> TextHints:
    """The configured properties of delimited text."""
    given = {name: getattr(read, name, None) for name in ("separator", "quote", "escape", "encoding")}
    return TextHints(**given)


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
    encoding = layout.encoding if isinstance(layout, TextLayout) else "utf-8"
    chunks = sample.chunks if not encoding.startswith("utf-16") else ()
    head = decode(sample.head, encoding)
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
    rows = [split_line(line, layout.separator, layout.quote, layout.escape) for line in kept]
    return Samples(header_of(layout), rows)


def _with_partitions(samples: Samples, partitions: dict[str, str]) -> Samples:
    new = {key: value for key, value in partitions.items() if key not in samples.columns}
    if not new:
        return samples
    return Samples((*samples.columns, *new), [[*row, *new.values()] for row in samples.rows])


# -- text ----------------------------------------------------------------------------------------
def _described_columns(each: Explained, read: ReadSettings, weights: WeightSettings) -> Iterator[str]:
    samples = each.samples
    scope = "" if each.is_whole else f" in {samples.n_rows:,} sampled rows"
    ids = []
    for role in ("user", "item"):
        position = each.positions[role]
        if position is not None:
            ids.append(
                f"{role} = {printable(samples.columns[position])} ({samples.n_distinct(position):,} distinct"
                f"{scope}, such as {printable(samples.example(position))})"
            )
    time = each.positions.get("time")
    if time is None:
        ids.append("time = none: split at random, which makes the evaluation weaker")
    else:
        clock = each.positions.get("clock")
        values = samples.present(time)
        if clock is not None:
            values = [f"{row[time].strip()} {row[clock].strip()}" for row in samples.rows]
        try:
            times = summarize_times(values, read.time_format, read.time_zone)
        except (AmbiguousTimeError, InputError) as error:
            raise InputError(f"{each.name}: {error}") from None
        name = printable(samples.columns[time])
        name += f" and {printable(samples.columns[clock])}" if clock is not None else ""
        between = f", {times.first} to {times.last} UTC" if times.first else ""
        ids.append(f"time = {name} {times.form}{between}{scope}, such as {printable(samples.example(time))}")
        if times.is_local:
            ids[-1] += "; they have no zone and are read as UTC: give --time-zone if they are local"
    yield "  " + ", ".join(ids)
    value = each.positions.get("value")
    if value is not None:
        yield "  " + _described_weights(samples, value, weights)


def _described_weights(samples: Samples, value: int, weights: WeightSettings) -> str:
    name = printable(samples.columns[value])
    if weights.weight_column is not None:
        return f"weight = {name}, such as {printable(samples.example(value))}"
    given = {key.casefold(): weight for key, weight in weights.event_weights.items()}
    counts = Counter(samples.present(value)).most_common(_MAX_TYPES)
    parts = [
        f"{printable(kind)} {given[kind.casefold()]:g}"
        if kind.casefold() in given
        else f"{printable(kind)} unknown"
        for kind, _ in counts
    ]
    return f"weight by {name}: {', '.join(parts)}"


def _warnings(each: Explained) -> Iterator[str]:
    yield from each.warnings
    for role in ("user", "item"):
        position = each.positions[role]
        if position is None or each.samples.n_rows < _MIN_ROWS:
            continue
        value, share = each.samples.most_frequent(position)
        if is_heavy(role, share, each.samples.n_distinct(position)):
            yield f"one {role}, {printable(value)}, has {share:.0%} of the sampled events"
        nulls = each.samples.null_share(position)
        if nulls > _MAX_NULL_SHARE:
            yield f"{nulls:.0%} of the sampled rows have no {role}"


def _yaml(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z_][\w.\-]*", text) else "'" + text.replace("'", "''") + "'"
