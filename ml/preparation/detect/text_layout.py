"""Layout of delimited text, from its first bytes: encoding, dialect, header and positions of the columns.

Pure functions; no Spark.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml.preparation.detect.columns import (
    POSITION,
    ColumnChoice,
    ColumnNames,
    count_names,
    find_columns,
    require_columns,
)
from ml.preparation.detect.dialect import Dialect, detect_dialect, separator_name
from ml.preparation.detect.encoding import REPLACEMENT
from ml.preparation.detect.hints import TextHints
from ml.preparation.detect.input_error import InputError, printable
from ml.preparation.detect.layout import TextLayout
from ml.preparation.detect.lists import exploded, refuse_adjacency, refuse_labels, refuse_lists, without_list
from ml.preparation.detect.roles import RATING, find_roles
from ml.preparation.detect.samples import Samples
from ml.preparation.detect.times import is_time

MAX_COLUMNS = 2_000  # a table with more columns is not a list of events
_MOSTLY = 0.5
_BLOCK = re.compile(r"\d+:")  # in the files of the Netflix Prize
_BLOCKS_TO_ROWS = (
    """awk 'BEGIN {print "item_id,user_id,rating,date"} """
    """/:\\r?$/ {sub(/:\\r?$/, ","); item = $0; next} {print item $0}' FILE > events.csv"""
)


@dataclass(frozen=True)
class DetectedText:
    """The layout of a text file, with what it was found from."""

    layout: TextLayout
    samples: Samples
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]


def detect_text(
    text: str,
    hints: TextHints,
    names: ColumnNames,
    uri: str,
    encoding: str = "utf-8",
    *,
    partitions: Mapping[str, str] | None = None,
) -> DetectedText | None:
    """Detect the layout of a text; None if all lines are blank.

    Args:
        text: the first lines, all of them whole, without a byte order mark.
        hints: configured properties.
        names: the columns that are needed.
        uri: the file, for messages.
        encoding: of the file, by canonical name.
        partitions: keys and values of the folders on its path, which are columns, too.

    Raises:
        InputError: a column cannot be identified; the message lists the columns found.
    """
    names, has_item_lists = without_list(names)

    def count(fields: Sequence[str]) -> int:
        return count_names(fields, names)

    dialect = detect_dialect(text, hints, count)
    if dialect is None:
        return None
    first = dialect.records[0]
    if len(first) > MAX_COLUMNS:
        raise InputError(f"{uri}: {len(first)} columns in its first line; give at most {MAX_COLUMNS}")
    has_header = _has_header(dialect, names) if hints.has_header is None else hints.has_header
    if has_header:
        own = Samples(first, dialect.records[1:])
    else:
        own = Samples([f"#{number + 1}" for number in range(dialect.n_columns)], dialect.records)
    samples = own.with_constants(partitions or {})
    if has_header:
        positions, warnings = _named_columns(samples, hints, names, uri)
    else:
        _refuse_names(names, first, samples.columns, uri)
        refuse_adjacency(dialect.records, uri)
        roles, warnings = find_roles(samples, len(own.columns), names, uri)
        positions = require_columns(ColumnChoice(roles), samples.columns, names, uri)
    header = dialect.first_line if has_header else None
    found = _detected(dialect, positions, own, partitions or {}, warnings, header=header, encoding=encoding)
    if has_item_lists:
        return _with_item_lists(found, uri)
    refuse_lists(found.samples, {"user": found.layout.user, "item": found.layout.item}, names, uri)
    return found


def _with_item_lists(found: DetectedText, uri: str) -> DetectedText:
    """The layout and the samples with one row for each element of the item's column."""
    samples = exploded(found.samples, found.layout.item)
    refuse_labels(samples, found.layout.item, uri)
    return replace(found, layout=replace(found.layout, has_item_lists=True), samples=samples)


def _named_columns(
    samples: Samples, hints: TextHints, names: ColumnNames, uri: str
) -> tuple[dict[str, int | None], list[str]]:
    if len(samples.columns) == 1 and _BLOCK.fullmatch(samples.columns[0]):
        raise InputError(
            f"{uri}: a line such as {samples.columns[0]} begins the rows of an item; write the item into "
            f"each row: {_BLOCKS_TO_ROWS}"
        )
    try:
        choice = find_columns(samples.columns, names, samples)
    except InputError as error:
        raise InputError(f"{uri}: {error}") from None
    try:
        return require_columns(choice, samples.columns, names, uri), choice.warnings
    except InputError as error:
        raise InputError(f"{error}{_advice(samples.columns, hints)}") from None


def described_text(layout: TextLayout) -> str:
    """One line with the separator, encoding, quotes and header of a text file."""
    parts = [f"text separated by {separator_name(layout.separator)}", layout.encoding]
    parts.append("no header" if layout.header is None else "with header")
    if layout.is_multiline:
        parts.append("line breaks in quotes")
    if layout.quote is not None and layout.escape != layout.quote:
        parts.append("quotes escaped with a backslash")
    if layout.skip_lines:
        parts.append(
            f"{layout.skip_lines} line(s) before the {'first row' if layout.header is None else 'header'}"
        )
    if layout.comment is not None:
        parts.append(f"comments after {layout.comment}")
    return ", ".join(parts)


def _detected(
    dialect: Dialect,
    positions: dict[str, int | None],
    own: Samples,
    partitions: Mapping[str, str],
    warnings: Sequence[str],
    *,
    header: str | None,
    encoding: str,
) -> DetectedText:
    n_own = len(own.columns)
    keys = own.with_constants(partitions).columns[n_own:]
    used = [key for number, key in enumerate(keys) if n_own + number in positions.values()]
    found: dict[str, Any] = {
        role: place if place is None or place < n_own else n_own + used.index(keys[place - n_own])
        for role, place in positions.items()
    }
    samples = own.with_constants({key: partitions[key] for key in used})
    layout = TextLayout(
        separator=dialect.separator,
        header=header,
        n_columns=n_own,
        quote=dialect.quote,
        escape=dialect.escape,
        is_multiline=dialect.is_multiline,
        encoding=encoding,
        skip_lines=len(dialect.skipped),
        comment=dialect.comment,
        partitions=tuple(used),
        **found,
    )
    return DetectedText(layout, samples, dialect.skipped, tuple(warnings))


def _has_header(dialect: Dialect, names: ColumnNames) -> bool:
    """Whether the first record names the columns.

    It does if it has a needed name, if it has no digit, or if it lacks the numbers or times that the column
    holds in most other rows.
    """
    first, *rows = dialect.records
    if count_names(first, names) > 0 or len(first) == 1:
        return True
    if not any(character.isdigit() for field in first for character in field):
        return True
    if any(map(is_time, first)):
        return False
    typed = 0
    for position in range(min(len(first), dialect.n_columns)):
        values = [row[position] for row in rows if len(row) == len(first)]
        n_typed = sum(_is_number(value) or is_time(value) for value in values)
        typed += bool(values) and n_typed > _MOSTLY * len(values) and not _is_number(first[position])
    n_timed = sum(any(map(is_time, row)) for row in rows)
    return typed > 1 or (typed == 1 and 2 * n_timed <= len(rows))


def _advice(header: Sequence[str], hints: TextHints) -> str:
    """The options to give if the columns were not found because the header was read in a wrong way."""
    text = "".join(header)
    options = []
    if len(header) == 1 and hints.separator is None:
        options.append("--separator if the columns are separated by something else")
    if hints.encoding is None and not (text.isprintable() and REPLACEMENT not in text):
        options.append("--encoding if the names are not readable")
    if hints.has_header is None and any(character.isdigit() for character in text):
        options.append("--header none if this line is a row")
    return f"; or give {', or '.join(options)}" if options else ""


def _refuse_names(names: ColumnNames, first: Sequence[str], columns: Sequence[str], uri: str) -> None:
    """Raise InputError if a column was configured by name, which a file without a header cannot have."""
    for role in (*names.roles, "clock"):
        configured = names.configured(role)
        if configured is None or configured in columns or POSITION.fullmatch(configured):
            continue
        if (role, configured) == ("weight", RATING):
            continue
        listed = ", ".join(printable(field) for field in first[:20])
        raise InputError(
            f"{uri}: no column {configured!r}; columns found: {listed}; the first line is a row, "
            f"not a header: name the column by its position, as in --{role}-column '#1', or give --header "
            "first-line if it is one"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
