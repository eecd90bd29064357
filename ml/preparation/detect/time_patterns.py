"""Patterns of `strptime` as regular expressions that Python and Java read alike, and times by their fields.

Built-in patterns also have optional parts in brackets and choices in braces: ``%d{-|/}%m[ %H:%M]``. The Spark
expression of a pattern (:mod:`ml.preparation.read.times`) is built from the same :class:`TimePattern`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache

# Offsets from UTC in hours. CST is left out: it is -6 in Chicago and +8 in Beijing.
ZONE_NAMES: Mapping[str, float] = {
    **dict.fromkeys(("Z", "UTC", "UT", "GMT"), 0),
    "EST": -5,  # RFC 2822, section 4.3
    "EDT": -4,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
    "CET": 1,
    "CEST": 2,
    "IST": 5.5,
    "KST": 9,
    "JST": 9,
}
MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec"
AFTERNOON = ("p", "오후")  # first letters of the second half of the day
SPACE = "[ \\t\u00a0\u202f\u3000]"

_MONTH_NAMES = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    "|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
)
_DAY_NAMES = "(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?|[월화수목금토일]요일"
_TWO_DIGITS = "[0-9]{2}"
# By directive: the field, its regular expression, and its expression with all digits.
_FIELDS: Mapping[str, tuple[str, str, str]] = {
    "Y": ("year", "(?:19|20)[0-9]{2}", "(?:19|20)[0-9]{2}"),
    "y": ("short_year", _TWO_DIGITS, _TWO_DIGITS),
    "m": ("month", "1[0-2]|0?[1-9]", "1[0-2]|0[1-9]"),
    "b": ("month_name", _MONTH_NAMES, _MONTH_NAMES),
    "d": ("day", "3[01]|[12][0-9]|0?[1-9]", "3[01]|[12][0-9]|0[1-9]"),
    "H": ("hour", "2[0-3]|[01]?[0-9]", "2[0-3]|[01][0-9]"),
    "M": ("minute", "[0-5]?[0-9]", "[0-5][0-9]"),
    "S": ("second", "[0-5]?[0-9]", "[0-5][0-9]"),
    "p": ("half", "[ap]\\.?m\\.?|오전|오후", "[ap]\\.?m\\.?|오전|오후"),
}
_SAME = {"B": "b", "h": "b", "I": "H", "e": "d"}
_UNUSED = {
    "a": f"(?:{_DAY_NAMES})",
    "A": f"(?:{_DAY_NAMES})",
    "f": "[0-9]{1,9}",
    "N": "\\([^)]*\\)",  # built-in patterns only: a name of the zone in words
}
_NUMBERS = frozenset("YymdHIMSfe")
_SHORT = {"T": "%H:%M:%S", "R": "%H:%M", "F": "%Y-%m-%d", "D": "%m/%d/%y"}
_ZONE_FIELDS = ("zone", "sign", "zone_hours", "zone_minutes")
FIELDS = (*(field for field, _, _ in _FIELDS.values()), *_ZONE_FIELDS)
_ZONE = f"({'|'.join(sorted(ZONE_NAMES, key=len, reverse=True))})?(?:([+-])([01]?[0-9]):?([0-5][0-9])?)?"
_OPTIONS = {"[": "(?:", "]": ")?", "{": "(?:", "}": ")", "|": "|"}
_SPECIAL = frozenset(".^$*+?{}[]\\|()/")


class TimePatternError(ValueError):
    """A pattern that is not one of a time; the message says why."""


@dataclass(frozen=True)
class TimePattern:
    """Regular expression of a time, for whole texts and without regard to case."""

    expression: str
    groups: Mapping[str, Sequence[int]]  # by field: its groups, of which at most one matches
    has_zone: bool  # whether texts may have an offset or the name of a zone


def compile_patterns(patterns: Sequence[str], *, has_options: bool = False) -> TimePattern:
    """One expression for texts of any of several patterns.

    Args:
        patterns: of `strptime`.
        has_options: whether brackets are around optional parts, and braces around choices.

    Raises:
        TimePatternError: a directive is unknown, or there is no year, month and day.
    """
    groups: dict[str, list[int]] = {field: [] for field in FIELDS}
    count = 0
    expressions = []
    for pattern in patterns:
        expression = ""
        found = set()
        for part, fields in _parts(pattern, has_options):
            expression += part
            for field in fields:
                count += 1
                groups[field].append(count)
                found.add(field)
        if not (found & {"year", "short_year"} and found & {"month", "month_name"} and "day" in found):
            raise TimePatternError(f"{pattern!r} has no year, month and day, as in %Y-%m-%d %H:%M")
        expressions.append(expression)
    return TimePattern(f"(?:{'|'.join(expressions)})", groups, has_zone=bool(groups["zone"]))


def parse_time(text: str, pattern: TimePattern, zone: tzinfo = timezone.utc) -> int | None:
    """Unix seconds of a text, truncated; None if it is not of the pattern, or no day of the calendar.

    Args:
        text: without white space at its ends.
        pattern: the pattern.
        zone: of texts without one.
    """
    match = _compiled(pattern.expression).fullmatch(text)
    if match is None:
        return None
    of = {
        field: next((match[each] for each in groups if match[each]), "")
        for field, groups in pattern.groups.items()
    }
    year = int(of["year"] or 0) or _full_year(int(of["short_year"]))
    month = int(of["month"] or 0) or MONTHS.index(of["month_name"][:3].lower()) // 3 + 1
    hour = int(of["hour"] or 0)
    if of["half"]:
        is_afternoon = of["half"].lower().startswith(AFTERNOON)
        hour = hour + 12 * (hour < 12) if is_afternoon else hour % 12 if hour == 12 else hour
    try:
        local = datetime(  # noqa: DTZ001 (the zone follows)
            year, month, int(of["day"]), hour, int(of["minute"] or 0), int(of["second"] or 0)
        )
    except ValueError:
        return None
    if of["zone"] or of["sign"]:
        offset_s = ZONE_NAMES.get(of["zone"].upper(), 0) * 3600
        signed = -1 if of["sign"] == "-" else 1
        offset_s += signed * (int(of["zone_hours"] or 0) * 3600 + int(of["zone_minutes"] or 0) * 60)
        zone = timezone(timedelta(seconds=offset_s))
    return int(local.replace(tzinfo=zone).timestamp())


@lru_cache(maxsize=64)
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.IGNORECASE | re.ASCII)


def _full_year(short: int) -> int:
    return short + (1900 if short >= 69 else 2000)  # POSIX, strptime


def _parts(pattern: str, has_options: bool) -> Iterator[tuple[str, Sequence[str]]]:
    """Pieces of the regular expression, with the fields of their groups."""
    for short, full in _SHORT.items():
        pattern = pattern.replace(f"%{short}", full)
    position = 0
    while position < len(pattern):
        character, directive = pattern[position], pattern[position + 1 : position + 2]
        if character == "%" and directive != "%":
            yield _directive(pattern, position)
            position += 2
            continue
        if character == "%":
            yield "%", ()
            position += 2
            continue
        if character.isspace():
            yield f"{SPACE}+", ()
        elif has_options and character in _OPTIONS:
            yield _OPTIONS[character], ()
        else:
            yield (f"\\{character}" if character in _SPECIAL else character), ()
        position += 1


def _directive(pattern: str, position: int) -> tuple[str, Sequence[str]]:
    directive = pattern[position + 1 : position + 2]
    directive = _SAME.get(directive, directive)
    if directive in _UNUSED:
        return _UNUSED[directive], ()
    if directive in ("z", "Z"):
        return f"(?=[A-Za-z+-]){_ZONE}", _ZONE_FIELDS
    if directive not in _FIELDS:
        known = " ".join(f"%{each}" for each in (*_FIELDS, *_SAME, "a", "A", "f", "z", *_SHORT))
        raise TimePatternError(f"%{directive} in {pattern!r} is not one of {known}")
    field, loose, strict = _FIELDS[directive]
    # Without a separator, numbers have all their digits: 2023111 could be two days.
    before, after = pattern[max(0, position - 2) : position], pattern[position + 2 : position + 4]
    touches = any(each[:1] == "%" and each[1:] in _NUMBERS for each in (before, after) if len(each) == 2)
    return f"({strict if touches else loose})", (field,)
