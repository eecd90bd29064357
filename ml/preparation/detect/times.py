"""Forms of time that the job reads, and detection of the form of a column.

One table for detection, for the reference in Python (:func:`unix_seconds`) and for the Spark expression
(:mod:`ml.preparation.read.times`). The forms with a unit are numbers; the others are patterns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from functools import lru_cache

from ml.preparation.detect.layout import SECONDS
from ml.preparation.detect.time_patterns import TimePattern, compile_patterns, parse_time

MIN_TIME_S = 631_152_000  # 1990-01-01T00:00:00Z
MAX_TIME_S = 4_102_444_800  # 2100-01-01T00:00:00Z, exclusive

NUMBER = r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?"  # a regular expression of Python and of Java
ISO = "iso8601"
UTC = "UTC"  # the zone of times without one

_CLOCK = "%H:%M[:%S[{.|,}%f]]"
_OF_DAY = f"[%p[ ]]{_CLOCK}[[ ]%p][[ ]%z][[ ]%N]"
_IN_KOREAN = "[%p[ ]]%H시[[ ]%M분[[ ]%S초]]"


@dataclass(frozen=True)
class TimeForm:
    """Form of the times of a column."""

    means: str  # for reports
    units_per_s: int | None = None  # None: texts of a pattern
    patterns: tuple[str, ...] = ()  # of strptime, with optional parts in brackets


# By name, in --time-format and in the manifest.
FORMS: Mapping[str, TimeForm] = {
    SECONDS: TimeForm("Unix time in seconds", 1),
    "milliseconds": TimeForm("Unix time in milliseconds", 1_000),
    "microseconds": TimeForm("Unix time in microseconds", 1_000_000),
    "nanoseconds": TimeForm("Unix time in nanoseconds", 1_000_000_000),
    ISO: TimeForm("ISO 8601", None, (f"%Y-%m-%d[{{T| }}{_CLOCK}[[ ]%z]]",)),
    "digits": TimeForm(
        "digits of the calendar, such as 20230501 or 20230501130507",
        None,
        (
            "%Y%m%d",
            "%Y%m%d%H",
            "%Y%m%d%H%M",
            "%Y%m%d%H%M%S[[.]%f]",
            f"%Y%m%d{{T| }}{{{_OF_DAY}|%H%M%S[%z]|%H%M[%z]}}",
        ),
    ),
    "year-first": TimeForm(
        "year, month and day",
        None,
        (
            f"%Y/%m/%d[{{T| }}{_OF_DAY}]",
            f"%Y.[ ]%m.[ ]%d[.][ {_OF_DAY}]",
            f"%Y-%m-%d {_OF_DAY}",
            "%Y-%m-%d %H",
            f"%Y년[ ]%m월[ ]%d일[ %a][ {{{_OF_DAY}|{_IN_KOREAN}}}]",
        ),
    ),
    "month-first": TimeForm(
        "month, day and year",
        None,
        (f"%m/%d/{{%Y|%y}}[[,] {_OF_DAY}]", f"%m-%d-%Y[[,] {_OF_DAY}]"),
    ),
    "day-first": TimeForm(
        "day, month and year",
        None,
        (
            f"%d/%m/{{%Y|%y}}[[,] {_OF_DAY}]",
            f"%d-%m-%Y[[,] {_OF_DAY}]",
            f"%d.%m.{{%Y|%y}}[[,] {_OF_DAY}]",
        ),
    ),
    "month-names": TimeForm(
        "month in words, as in RFC 2822",
        None,
        (
            f"[%a[,] ]%d{{ |-|/}}%b{{ |-|/}}{{%Y|%y}}[{{ |:}}{_OF_DAY}]",
            f"[%a[,] ]%b %d[,] %Y[[,] [at ]{_OF_DAY}]",
            f"%a %b %d {_CLOCK}[ %z] %Y",
        ),
    ),
}

_PATTERNS = tuple(name for name, form in FORMS.items() if form.patterns)
_MIN_DIGITS = 4  # of a time: 1-May-23 1
_NUMBER = re.compile(NUMBER)
_TIME_OF_DAY = re.compile(
    r"(?:(?:[AaPp]\.?[Mm]\.?|오전|오후)\s*)?\d{1,2}(?::\d{2}){1,2}(?:[.,]\d+)?(?:\s*[AaPp]\.?[Mm]\.?)?"
)
_HOUR_DIGITS = re.compile(r"(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?")
_HAS_CLOCK = re.compile(r":\d{2}|시|T\d{2}|^\d{10,}$|^\d{8} \d|^\d{4}-\d\d-\d\d \d\d$")


class AmbiguousTimeError(ValueError):
    """Times that two forms read differently; the message has the options to give."""


@dataclass(frozen=True)
class DetectedTime:
    """Form of the times of a column, as far as some of its values show it."""

    form: str  # a key of FORMS
    is_local: bool  # without an offset: another zone than UTC has to be given
    n_read: int  # values that are times of this form

    @property
    def means(self) -> str:
        """The form in words, for reports."""
        return FORMS[self.form].means


def detect_times(values: Sequence[str]) -> DetectedTime | None:
    """The form that most values have; None if they have none.

    Ten digits such as 2023050113 are calendar digits if all values are: as seconds, they are later than 2033.

    Args:
        values: of one column; blank ones are left out.

    Raises:
        AmbiguousTimeError: month and day cannot be told apart.
    """
    texts = [value.strip() for value in values if value.strip()]
    n_read = {form: sum(_read(text, form) is not None for text in texts) for form in FORMS}
    # Of equals, the first; calendar digits come before all.
    best = max(("digits", *FORMS), key=lambda form: n_read[form])
    if not n_read[best]:
        return None
    if best in ("month-first", "day-first") and n_read["month-first"] == n_read["day-first"]:
        example = next(text for text in texts if unix_seconds(text, best) is not None)
        raise AmbiguousTimeError(
            f"{example!r} may be month/day or day/month: give --time-format month-first or day-first"
        )
    is_local = FORMS[best].units_per_s is None and any(is_local_time(text, best) for text in texts)
    return DetectedTime(best, is_local, n_read[best])


@lru_cache(maxsize=64)
def form_of(name: str) -> TimeForm:
    """The form of a name in FORMS or of a pattern of `strptime`.

    Raises:
        ValueError: it is neither; the message lists the names, or says what is wrong with the pattern.
    """
    if name in FORMS:
        return FORMS[name]
    if "%" not in name:
        raise ValueError(f"{name!r}: one of {', '.join(FORMS)}, or a pattern such as %d/%m/%Y %H:%M")
    compile_patterns([name])
    return TimeForm(f"times such as {name}", None, (name,))


@lru_cache(maxsize=64)
def pattern_of(name: str) -> TimePattern | None:
    """The compiled pattern of a form, a key of FORMS or a pattern of `strptime`; None for a number."""
    form = form_of(name)
    return compile_patterns(form.patterns, has_options=name in FORMS) if form.patterns else None


def unix_seconds(text: str, form: str, zone: tzinfo = timezone.utc) -> int | None:
    """Unix seconds of a text, truncated; None unless it has the form and is from 1990 to 2099.

    ISO 8601 is read in all forms, and seconds in a column of ISO 8601: neither looks like another form.

    Args:
        text: without white space at its ends.
        form: a key of FORMS, or a pattern of `strptime`.
        zone: of local times.
    """
    found = _read(text, form, zone)
    if found is None and form != ISO:
        return _read(text, ISO, zone)
    return _read(text, SECONDS) if found is None else found


def is_time(text: str) -> bool:
    """Whether a text is a time from 1990 to 2099 in any form."""
    text = text.strip()
    if sum(character.isdigit() for character in text) < _MIN_DIGITS:
        return False
    return any(_read(text, form) is not None for form in FORMS)


def is_date(text: str) -> bool:
    """Whether a text is a day without a time of day."""
    text = text.strip()
    return not _HAS_CLOCK.search(text) and any(_read(text, form) is not None for form in _PATTERNS)


def is_local_time(text: str, form: str) -> bool:
    """Whether a text is a time of day without a zone: in another zone it would be another time."""
    here, elsewhere = _read(text, form), _read(text, form, timezone(timedelta(hours=1)))
    return here is not None and here != elsewhere and bool(_HAS_CLOCK.search(text))


def is_clock(text: str) -> bool:
    """Whether a text is a time of day without a date."""
    text = text.strip()
    return bool(_TIME_OF_DAY.fullmatch(text) or _HOUR_DIGITS.fullmatch(text))


def _read(text: str, form: str, zone: tzinfo = timezone.utc) -> int | None:
    """Unix seconds of a text that has a form; None for others and outside of 1990 to 2099."""
    units_per_s, pattern = form_of(form).units_per_s, pattern_of(form)
    if pattern is not None:
        found = parse_time(text, pattern, zone)
    else:
        found = _seconds_of_number(text, units_per_s or 1) if _NUMBER.fullmatch(text) else None
    return found if found is not None and MIN_TIME_S <= found < MAX_TIME_S else None


def _seconds_of_number(text: str, units_per_s: int) -> int | None:
    try:
        return int(text) // units_per_s
    except ValueError:
        number = float(text) / units_per_s
        return int(number) if abs(number) < MAX_TIME_S else None
