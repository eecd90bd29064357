"""How the rows of a text file lie: its separator, its header if it has one, and where the columns are.

Pure functions over the first lines of a file; no Spark.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ml.preparation.errors import InputError
from ml.preparation.read.columns import ColumnNames, find_columns, require_columns

MIN_TIME_S = 631_152_000  # 1990-01-01T00:00:00Z
MAX_TIME_S = 4_102_444_800  # 2100-01-01T00:00:00Z, exclusive

MAX_COLUMNS = 2_000  # a wider table is no list of events

# In the order in which a file's content is tried.
SEPARATORS = {"double-colon": "::", "tsv": "\t", "csv": ","}
QUOTING_FORMATS = ("tsv", "csv")  # those in which a field may be quoted

# Without a header: MovieLens' user, item, rating, time; or user, item, time.
POSITIONS = {3: (0, 1, 2), 4: (0, 1, 3)}
RATING = "rating"  # what the third of MovieLens' four columns is called
RATING_POSITION = 2

_ISO_8601 = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")


@dataclass(frozen=True)
class Layout:
    """Where the columns are in each row of a text file."""

    format: str  # a key of SEPARATORS
    header: str | None  # the header line, or None
    n_columns: int
    user: int
    item: int
    time: int
    value: int | None = None  # the event type or the weight, where one is asked for


def text_layout(lines: Sequence[str], file_format: str, names: ColumnNames, uri: str) -> Layout:
    """The layout of a text file from its first lines.

    Args:
        lines: the first lines, none of them blank, the byte order mark removed; at least one.
        file_format: ``auto`` or a key of SEPARATORS.
        names: the columns that are needed.
        uri: the file, for messages.

    Raises:
        InputError: the columns cannot be told; the message lists those found.
    """
    candidates = [file_format] if file_format != "auto" else list(SEPARATORS)
    # The format with which the first line falls into the most columns; the first of equals.
    found = max(candidates, key=lambda each: min(3, len(split_line(lines[0], each))))
    columns = split_line(lines[0], found)
    if len(columns) > MAX_COLUMNS:
        raise InputError(f"{uri}: {len(columns)} columns in its first line; give at most {MAX_COLUMNS}")
    positions = find_columns(columns, names)
    is_header = any(position is not None for position in positions.values())
    if not is_header and names.are_left_to_us(RATING) and _is_data(lines, found):
        n_columns = len(columns)
        user, item, time = POSITIONS[n_columns]
        if names.weight is None:
            return Layout(found, None, n_columns, user, item, time)
        if n_columns > RATING_POSITION + 1:
            return Layout(found, None, n_columns, user, item, time, RATING_POSITION)
    return Layout(found, lines[0], len(columns), **require_columns(positions, columns, names, uri))


def split_line(line: str, file_format: str) -> list[str]:
    """The fields of one line; quotes are understood in the formats that have them."""
    separator = SEPARATORS[file_format]
    if file_format not in QUOTING_FORMATS:
        return [field.strip() for field in line.split(separator)]
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error:  # NUL bytes, or a field beyond the reader's limit
        return [field.strip() for field in line.split(separator)]


def is_time(field: str) -> bool:
    """Whether a field is Unix seconds or ISO 8601 within 1990 to 2100."""
    if _ISO_8601.fullmatch(field):
        return "1990" <= field[:4] < "2100"
    try:
        return MIN_TIME_S <= float(field) < MAX_TIME_S
    except ValueError:
        return False


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
