"""Dialect of delimited text, from its first lines: separator, quotes, escapes, and lines that are no rows."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml.preparation.detect.hints import BACKSLASH, TextHints
from ml.preparation.detect.layout import QUOTE, SPACES
from ml.settings.preparation import SEPARATORS

LINE_END = re.compile(r"\r\n|\n|\r")  # line ends of Spark's text reader; str.splitlines() has more
# In the order in which they are tried: what is rare in text comes first, and spaces last.
_NAMES = {text: name for name, text in SEPARATORS.items()}
_TRIED = ("\x01", "\t", "::", ";", "|", ",", SPACES)
_NEVER_QUOTED = ("\x01", "::")
_COMMENTS = ("#", "//", "--", "%")
_SEP_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # written for Excel
_MAX_LINES = 2_000
_MAX_PREAMBLE = 20
_MIN_CONSISTENT = 0.8  # share of the records with the usual number of fields
_ENOUGH_COLUMNS = 3


@dataclass(frozen=True)
class Dialect:
    """How lines are split into records, and the first records."""

    separator: str
    quote: str | None
    escape: str
    is_multiline: bool
    skipped: tuple[str, ...]  # lines before the header or the first row
    comment: str | None
    first_line: str  # the header, or the first row
    records: tuple[tuple[str, ...], ...]  # with the header, if there is one

    @property
    def n_columns(self) -> int:
        """The usual number of fields."""
        return _usual(self.records)[0]


def separator_name(separator: str) -> str:
    """The name of a separator, or the separator itself if it has none."""
    return _NAMES.get(separator, separator)


def detect_dialect(
    text: str, hints: TextHints, count_names: Callable[[Sequence[str]], int]
) -> Dialect | None:
    """Detect the dialect of a text; None if all lines are blank.

    Args:
        text: the first lines, all of them whole.
        hints: configured properties.
        count_names: how many needed columns have a name among the fields of a header.
    """
    lines = [line for line in LINE_END.split(text) if line.strip()][:_MAX_LINES]
    if not lines:
        return None
    skipped: list[str] = []
    marked = _SEP_LINE.fullmatch(lines[0].strip())
    if marked and len(lines) > 1:
        skipped.append(lines.pop(0))
        hints = hints if hints.separator else replace(hints, separator=marked[1])
    comment, lines = _without_comments(lines, count_names)
    candidates = _TRIED if hints.separator is None else (hints.separator,)
    options = [_candidate(lines, separator, hints, count_names) for separator in candidates]
    # The first of the best: the one that makes the lines look most like a table.
    _, separator, quote, escape = max(options, key=lambda each: each[0])
    n_preamble = _preamble([_split(line, separator, quote, escape) for line in lines], count_names)
    skipped += lines[:n_preamble]
    lines = lines[n_preamble:]
    by_line = [_split(line, separator, quote, escape) for line in lines]
    records, is_multiline = _joined(text[text.index(lines[0]) :], by_line, separator, quote, escape)
    if comment is not None:
        records = [each for each in records if not each[0].startswith(comment)]
    return Dialect(
        separator,
        quote,
        escape,
        is_multiline,
        tuple(skipped),
        comment,
        lines[0],
        tuple(tuple(each) for each in records[:_MAX_LINES]),
    )


def split_line(line: str, separator: str, quote: str | None = None, escape: str = QUOTE) -> list[str]:
    """The fields of one line, without spaces around them."""
    return _split(line, separator, quote, escape)


def _split(line: str, separator: str, quote: str | None, escape: str) -> list[str]:
    if separator == SPACES and (quote is None or quote not in line):
        return [field for field in line.split(" ") if field]  # not at tabs, as the reader
    if quote is None or quote not in line or len(separator) > 1:
        return [field.strip() for field in line.split(separator)]
    try:
        return [field.strip() for field in next(_reader([line], separator, quote, escape), [])]
    except csv.Error:  # a NUL byte, or a field longer than the reader's limit
        return [field.strip() for field in line.split(separator)]


def _reader(lines: Sequence[str], separator: str, quote: str, escape: str, *, strict: bool = False) -> Any:
    doubled = escape == quote
    return csv.reader(
        lines,
        delimiter=separator,
        quotechar=quote,
        doublequote=doubled,
        escapechar=None if doubled else escape,
        skipinitialspace=separator == SPACES,
        strict=strict,
    )


def _candidate(
    lines: Sequence[str],
    separator: str,
    hints: TextHints,
    count_names: Callable[[Sequence[str]], int],
) -> tuple[tuple[float, ...], str, str | None, str]:
    """The rank of a separator, and the quote and escape that go with it."""
    quote = _quote(lines, separator) if hints.quote is None else hints.quote or None
    if hints.escape is None:
        escape = _escape(lines, separator, quote)
    else:
        escape = "\\" if hints.escape == BACKSLASH else quote or QUOTE
    records = [_split(line, separator, quote, escape) for line in lines]
    n, share = _usual(records)
    names = max(map(count_names, records[: _MAX_PREAMBLE + 1]))
    others = [each for each in _TRIED if each not in (separator, SPACES)]
    fields = [field for record in records for field in record]
    pure = sum(not any(other in field for other in others) for field in fields) / max(len(fields), 1)
    is_table = n > 1 and share >= _MIN_CONSISTENT
    rank = (min(names, _ENOUGH_COLUMNS), is_table, min(n, _ENOUGH_COLUMNS), round(pure, 1), share > 0.99)
    return rank, separator, quote, escape


def _usual(records: Sequence[Sequence[str]]) -> tuple[int, float]:
    """The most frequent number of fields, and the share of the records that have it."""
    n, count = Counter(map(len, records)).most_common(1)[0]
    return n, count / len(records)


def _quote(lines: Sequence[str], separator: str) -> str | None:
    """The quote character of a separator's fields.

    Without any quote in the lines it is the usual one: later rows may need it.
    """
    if separator in _NEVER_QUOTED or len(separator) > 1:
        return None
    edge = "[ ]" if separator == SPACES else re.escape(separator)
    if not any(QUOTE in line for line in lines):
        single = re.compile(f"(?:(?:^|{edge})'[^']*'(?={edge}|$))+")
        return "'" if all(single.fullmatch(line) for line in lines) else QUOTE
    return QUOTE


def _escape(lines: Sequence[str], separator: str, quote: str | None) -> str:
    """A backslash if it makes the records more regular than doubled quotes do."""
    if quote is None or not any(f"\\{quote}" in line for line in lines):
        return QUOTE if quote is None else quote
    shares = {
        escape: _usual([_split(line, separator, quote, escape) for line in lines])[1]
        for escape in (quote, "\\")
    }
    return "\\" if shares["\\"] > shares[quote] or _has_closed_escape(lines, separator, quote) else quote


def _has_closed_escape(lines: Sequence[str], separator: str, quote: str) -> bool:
    r"""Whether a quoted field has an even number of ``\"`` inside, which doubled quotes would never leave."""
    return any(re.search(rf"{quote}[^{quote}]*\\{quote}[^{quote}{separator}]", line) for line in lines)


def _without_comments(
    lines: list[str], count_names: Callable[[Sequence[str]], int]
) -> tuple[str | None, list[str]]:
    """The prefix of comments at the start, and the other lines."""
    for prefix in _COMMENTS:
        if not lines[0].startswith(prefix):
            continue
        n_comments = next((n for n, line in enumerate(lines) if not line.startswith(prefix)), 0)
        if n_comments == 0 or n_comments > _MAX_PREAMBLE:
            return None, lines
        last = re.split(r"[\t;|, ]+", lines[n_comments - 1].lstrip(prefix + " "))
        if count_names(last) > 1:  # "#user_id item_id" is a header
            return None, lines[n_comments - 1 :] if n_comments == 1 else lines
        return prefix, [line for line in lines if not line.startswith(prefix)]
    return None, lines


def _preamble(records: Sequence[Sequence[str]], count_names: Callable[[Sequence[str]], int]) -> int:
    """Number of lines before a header of the usual number of fields, such as the title of a report."""
    n, _ = _usual(records)
    first = next((number for number, each in enumerate(records) if len(each) == n), 0)
    is_title = n > 1 and 0 < first <= _MAX_PREAMBLE and all(2 * len(each) <= n for each in records[:first])
    return first if is_title and count_names(records[first]) > 1 else 0


def _joined(
    text: str, by_line: list[list[str]], separator: str, quote: str | None, escape: str
) -> tuple[list[list[str]], bool]:
    """The records, and whether quoted fields have line breaks."""
    if quote is None or len(separator) > 1 or quote not in text:
        return by_line, False
    lines = [f"{line}\n" for line in LINE_END.split(text)]
    strict = _reader(lines, separator, quote, escape, strict=True)
    whole: list[list[str]] = []
    try:
        whole.extend([field.strip() for field in record] for record in strict if record)
    except csv.Error:  # a stray quote, or a record that continues after the last line
        if strict.line_num < len(lines):
            return by_line, False
    if whole and len(whole) > 1:
        whole = whole[:-1] if _usual(whole)[0] != len(whole[-1]) else whole
    has_break = any("\n" in field for record in whole for field in record)
    if has_break and _usual(whole)[1] > _usual(by_line)[1]:
        return whole, True
    return by_line, False
