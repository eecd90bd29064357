"""How the rows of a text file lie: its separator, its header if it has one, and where the columns are.

Pure functions over the first lines of a file; no Spark.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ml.preparation.errors import InputError

MIN_TIME_S = 631_152_000  # 1990-01-01T00:00:00Z
MAX_TIME_S = 4_102_444_800  # 2100-01-01T00:00:00Z, exclusive

# In the order in which a file's content is tried.
SEPARATORS = {"double-colon": "::", "tsv": "\t", "csv": ","}

# Compared in lower case without punctuation: "userId", "User ID" and "user_id" are one spelling.
SPELLINGS = {
    "user": ("userid", "user", "customerid", "customer", "memberid", "member", "visitorid", "uid"),
    "item": ("itemid", "item", "productid", "product", "movieid", "movie", "articleid", "sku", "asin", "iid"),
    "time": (
        "timestamp",
        "time",
        "ts",
        "eventtime",
        "eventtimestamp",
        "unixtime",
        "datetime",
        "createdat",
        "date",
    ),
}
# Without a header: MovieLens' user, item, rating, time; or user, item, time.
POSITIONS = {3: (0, 1, 2), 4: (0, 1, 3)}

_ISO_8601 = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")


@dataclass(frozen=True)
class ColumnNames:
    """The columns as the caller names them; None leaves one to the common spellings."""

    user: str | None = None
    item: str | None = None
    time: str | None = None


@dataclass(frozen=True)
class Layout:
    """Where the three columns are in each row of a text file."""

    format: str  # a key of SEPARATORS
    header: str | None  # the header line, or None
    n_columns: int
    user: int
    item: int
    time: int


def text_layout(lines: Sequence[str], file_format: str, names: ColumnNames, uri: str) -> Layout:
    """The layout of a text file from its first lines.

    Args:
        lines: the first lines, none of them blank, the byte order mark removed; at least one.
        file_format: ``auto`` or a key of SEPARATORS.
        names: columns that the caller names.
        uri: the file, for messages.

    Raises:
        InputError: the columns cannot be told; the message lists those found.
    """
    candidates = [file_format] if file_format != "auto" else list(SEPARATORS)
    # The format with which the first line falls into the most columns; the first of equals.
    found = max(candidates, key=lambda each: min(3, len(split_line(lines[0], each))))
    columns = split_line(lines[0], found)
    positions = find_columns(columns, names)
    if any(position is not None for position in positions.values()):
        return Layout(found, lines[0], len(columns), **require_columns(positions, columns, names, uri))
    if names == ColumnNames() and _is_data(lines, found):
        user, item, time = POSITIONS[len(columns)]
        return Layout(found, None, len(columns), user, item, time)
    return Layout(found, lines[0], len(columns), **require_columns(positions, columns, names, uri))


def split_line(line: str, file_format: str) -> list[str]:
    """The fields of one line; quotes are understood where the separator is one character."""
    separator = SEPARATORS[file_format]
    if len(separator) > 1:
        return [field.strip() for field in line.split(separator)]
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error:  # NUL bytes, or a field beyond the reader's limit
        return [field.strip() for field in line.split(separator)]


def find_columns(columns: Sequence[str], names: ColumnNames) -> dict[str, int | None]:
    """The position of the user, item and time columns; None where there is no such column."""
    spelled = [re.sub(r"[^a-z0-9]", "", column.lower()) for column in columns]
    positions: dict[str, int | None] = {}
    for role, spellings in SPELLINGS.items():
        wanted = getattr(names, role)
        if wanted is not None:
            positions[role] = columns.index(wanted) if wanted in columns else None
        else:
            positions[role] = next((spelled.index(each) for each in spellings if each in spelled), None)
    return positions


def require_columns(
    positions: dict[str, int | None], columns: Sequence[str], names: ColumnNames, uri: str
) -> dict[str, int]:
    """The positions, all known.

    Raises:
        InputError: one is not, or is ambiguous; the message names it and lists the columns found.
    """
    for role, position in positions.items():
        wanted = getattr(names, role)
        if position is None:
            what = f"no column {wanted!r}" if wanted is not None else f"no {role} column"
            listed = ", ".join(_printable(column) for column in columns[:20])
            raise InputError(f"{uri}: {what}; columns found: {listed}; name it with --{role}-column")
        if list(columns).count(columns[position]) > 1:
            raise InputError(f"{uri}: column {columns[position]!r} appears more than once; rename one")
    return {role: position for role, position in positions.items() if position is not None}


def is_time(field: str) -> bool:
    """Whether a field is Unix seconds or ISO 8601 within 1990 to 2100."""
    if _ISO_8601.fullmatch(field):
        return "1990" <= field[:4] < "2100"
    try:
        return MIN_TIME_S <= float(field) < MAX_TIME_S
    except ValueError:
        return False


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:40])


def _is_data(lines: Sequence[str], file_format: str) -> bool:
    """Whether the first line is already an event, as it is in MovieLens' files.

    A first line without a digit is a header in words that are not known. One with digits is data if
    most of the lines have a time where it should be; a single broken line may thus come first.
    """
    n_columns = len(split_line(lines[0], file_format))
    if n_columns not in POSITIONS or not any(character.isdigit() for character in lines[0]):
        return False
    position = POSITIONS[n_columns][2]
    rows = [split_line(line, file_format) for line in lines]
    timed = sum(len(row) == n_columns and is_time(row[position]) for row in rows)
    return 2 * timed > len(rows)
