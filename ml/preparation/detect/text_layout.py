"""Detection of a text file's layout: separator, header and positions of the columns.

Pure functions of the first lines of a file; no Spark.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import Any

from ml.preparation.detect.columns import ColumnNames, find_columns, require_columns
from ml.preparation.detect.input_error import InputError
from ml.preparation.detect.layout import QUOTE, TextLayout

MIN_TIME_S = 631_152_000  # 1990-01-01T00:00:00Z
MAX_TIME_S = 4_102_444_800  # 2100-01-01T00:00:00Z, exclusive

MAX_COLUMNS = 2_000  # a table with more columns is not a list of events

# In the order of detection.
SEPARATORS = {"double-colon": "::", "tsv": "\t", "csv": ","}
QUOTING_FORMATS = ("tsv", "csv")  # formats with quoted fields

# Positions of user, item and time without a header, by number of columns: MovieLens has the rating third.
POSITIONS = {3: (0, 1, 2), 4: (0, 1, 3)}
RATING = "rating"  # name of the third of MovieLens' four columns
RATING_POSITION = 2

_ISO_8601 = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")


def detect_layout(lines: Sequence[str], file_format: str, names: ColumnNames, uri: str) -> TextLayout:
    """Detect the layout of a text file.

    Args:
        lines: the first non-blank lines, at least one, without a byte order mark.
        file_format: ``auto`` or a key of SEPARATORS.
        names: the columns that are needed.
        uri: the file, for messages.

    Raises:
        InputError: a column cannot be identified; the message lists the columns found.
    """
    candidates = [file_format] if file_format != "auto" else list(SEPARATORS)
    # The format that splits the first line into the most columns; on a tie, the first one.
    found = max(candidates, key=lambda each: min(3, len(split_line(lines[0], each))))
    columns = split_line(lines[0], found)
    if len(columns) > MAX_COLUMNS:
        raise InputError(f"{uri}: {len(columns)} columns in its first line; give at most {MAX_COLUMNS}")
    positions = find_columns(columns, names)
    is_header = any(position is not None for position in positions.values())
    if not is_header and names.allow_positions(RATING) and _is_data(lines, found):
        n_columns = len(columns)
        user, item, time = POSITIONS[n_columns]
        if names.weight is None:
            return _layout(found, None, n_columns, user=user, item=item, time=time)
        if n_columns > RATING_POSITION + 1:
            return _layout(found, None, n_columns, user=user, item=item, time=time, value=RATING_POSITION)
    return _layout(found, lines[0], len(columns), **require_columns(positions, columns, names, uri))


def format_of(layout: TextLayout) -> str:
    """The key in SEPARATORS of a layout's separator."""
    return next(name for name, separator in SEPARATORS.items() if separator == layout.separator)


def _layout(file_format: str, header: str | None, n_columns: int, **positions: Any) -> TextLayout:
    quote = QUOTE if file_format in QUOTING_FORMATS else None
    return TextLayout(SEPARATORS[file_format], header, n_columns, quote=quote, **positions)


def split_line(line: str, file_format: str) -> list[str]:
    """The fields of one line; quotes are parsed in the formats of QUOTING_FORMATS."""
    separator = SEPARATORS[file_format]
    if file_format not in QUOTING_FORMATS:
        return [field.strip() for field in line.split(separator)]
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error:  # a NUL byte, or a field longer than the reader's limit
        return [field.strip() for field in line.split(separator)]


def is_time(field: str) -> bool:
    """Whether a field is a time from 1990 to 2099, in Unix seconds or ISO 8601."""
    if _ISO_8601.fullmatch(field):
        return "1990" <= field[:4] < "2100"
    try:
        return MIN_TIME_S <= float(field) < MAX_TIME_S
    except ValueError:
        return False


def _is_data(lines: Sequence[str], file_format: str) -> bool:
    """Whether the first line is an event instead of a header, as in MovieLens' files.

    A first line without digits is a header with unknown names. One with digits is an event if most of the
    lines have a time in the expected column, so that a single malformed first line does no harm.
    """
    n_columns = len(split_line(lines[0], file_format))
    if n_columns not in POSITIONS or not any(character.isdigit() for character in lines[0]):
        return False
    position = POSITIONS[n_columns][2]
    rows = [split_line(line, file_format) for line in lines]
    timed = sum(len(row) == n_columns and is_time(row[position]) for row in rows)
    return 2 * timed > len(rows)
