"""Layouts: how a file is written and which of its columns the job reads.

A layout is the whole contract between detection and the readers: it has no value that still has to be found
out from the file's content. Files with equal layouts are read together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Union

QUOTE = '"'
SECONDS = "seconds"  # Unix time; ISO 8601 is read in all forms
SPACES = " "  # this separator stands for one or more spaces


class Encoding(NamedTuple):
    """Names of a character encoding."""

    python: str  # codec
    java: str  # charset


# By canonical name: the name in settings, in the manifest and in messages.
ENCODINGS = {
    "utf-8": Encoding("utf-8", "UTF-8"),
    "utf-16le": Encoding("utf-16-le", "UTF-16LE"),
    "utf-16be": Encoding("utf-16-be", "UTF-16BE"),
    "cp949": Encoding("cp949", "x-windows-949"),
    "shift_jis": Encoding("cp932", "windows-31j"),
    "euc-jp": Encoding("euc_jp", "EUC-JP"),
    "gb18030": Encoding("gb18030", "GB18030"),
    "big5": Encoding("cp950", "x-windows-950"),
    "latin-1": Encoding("cp1252", "windows-1252"),  # what files that are called latin-1 hold
    "windows-1250": Encoding("cp1250", "windows-1250"),
    "windows-1251": Encoding("cp1251", "windows-1251"),
}


@dataclass(frozen=True)
class TextLayout:
    """Delimited text: how its lines are split into fields, and the positions of the columns."""

    separator: str  # literal text of one or more characters; SPACES: one or more spaces
    header: str | None  # the header line, decoded; None without one
    n_columns: int
    user: int
    item: int
    time: int | None  # None: the events have no time
    value: int | None = None  # the event type or the weight, if needed
    clock: int | None = None  # time of day, if `time` is only the date
    time_form: str = SECONDS  # a key of ml.preparation.detect.times.FORMS, or a pattern of strptime
    quote: str | None = QUOTE  # None: quotes have no meaning
    escape: str = QUOTE  # before a quote in a quoted field: the quote, or a backslash
    is_multiline: bool = False  # whether a quoted field may contain line breaks
    encoding: str = "utf-8"  # a key of ENCODINGS
    skip_lines: int = 0  # non-blank lines before the header or the first row, such as "sep=;"
    comment: str | None = None  # prefix of lines that are no rows
    partitions: tuple[str, ...] = ()  # keys of folders such as dt=2026-11-23: columns after those of the file
    has_item_lists: bool = False  # whether a row has a list of items


@dataclass(frozen=True)
class JsonLayout:
    """JSON objects: the paths of the columns in each object."""

    user: str
    item: str
    time: str | None
    value: str | None = None  # the event type or the weight, if needed
    clock: str | None = None  # time of day, if `time` is only the date
    time_form: str = SECONDS
    partitions: tuple[str, ...] = ()  # the columns that are keys of folders such as dt=2026-11-23
    is_python: bool = False  # lines are Python literals: {u'user': u'7', 'ok': True}
    encoding: str = "utf-8"  # a key of ENCODINGS


@dataclass(frozen=True)
class TableLayout:
    """Parquet or ORC: the paths of the columns, and their types."""

    format: str  # parquet or orc; avro in the sample of a local file
    user: str
    item: str
    time: str | None
    value: str | None = None  # the event type or the weight, if needed
    clock: str | None = None  # time of day, if `time` is only the date
    partitions: tuple[str, ...] = ()  # the columns that are keys of folders such as dt=2026-11-23
    schema: str = ""  # Spark's schema of the top-level columns that are read, as JSON
    nanosecond_columns: tuple[str, ...] = ()  # timestamps that Spark reads as integers
    time_form: str | None = None  # as in the previous run; None: detected from the first values


AnyLayout = Union[TextLayout, JsonLayout, TableLayout]
