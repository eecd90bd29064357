"""Whether a text is a time, a date or a time of day, in any form that the job reads."""

from __future__ import annotations

import re

MIN_TIME_S = 631_152_000  # 1990-01-01T00:00:00Z
MAX_TIME_S = 4_102_444_800  # 2100-01-01T00:00:00Z, exclusive

_UNITS_PER_S = (1, 1_000, 1_000_000, 1_000_000_000)
_YEAR = r"(?:199\d|20\d\d)"
_CALENDAR_DIGITS = re.compile(
    rf"{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:(?:[01]\d|2[0-3])(?:[0-5]\d){{0,2}})?"
)
_CLOCK = r"(?:(?:AM|PM|오전|오후)\s*)?\d{1,2}(?::\d{2}){1,2}(?:[.,]\d+)?\s*(?:[AaPp]\.?[Mm]\.?)?"
_ZONE = r"(?:Z|UTC|GMT|KST|[+-]\d{2}:?\d{2}(?::\d{2})?)"
_DATES = (
    rf"{_YEAR}-\d{{1,2}}-\d{{1,2}}",
    rf"{_YEAR}/\d{{1,2}}/\d{{1,2}}",
    rf"{_YEAR}\.\s?\d{{1,2}}\.\s?\d{{1,2}}\.?",
    rf"{_YEAR}년\s?\d{{1,2}}월\s?\d{{1,2}}일",
    rf"\d{{1,2}}[/.-]\d{{1,2}}[/.-](?:{_YEAR}|\d{{2}})",
    rf"(?:\d{{1,2}}[ -][A-Za-z]{{3,9}}|[A-Za-z]{{3,9}} \d{{1,2}},?)[ -]{_YEAR}",
)
_DATE = re.compile("|".join(_DATES))
_TIME = re.compile(rf"(?:{'|'.join(_DATES)})(?:[T ]\s*(?:{_CLOCK}|\d{{1,2}})\s*{_ZONE}?)?")
_IN_WORDS = re.compile(
    rf"(?:[A-Za-z]{{3}},? )?(?:\d{{1,2}} [A-Za-z]{{3}} {_YEAR} {_CLOCK}|[A-Za-z]{{3}} +\d{{1,2}} {_CLOCK})"
    rf"(?: {_ZONE})?(?: {_YEAR})?"
)
_TIME_OF_DAY = re.compile(_CLOCK)
_HOUR_DIGITS = re.compile(r"(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?")


def is_time(text: str) -> bool:
    """Whether a text is a time from 1990 to 2099: a number, calendar digits or a date."""
    text = text.strip()
    if text[:1] in "123456789" and text[:1] and _is_number(text):
        return True
    return any(form.fullmatch(text) for form in (_CALENDAR_DIGITS, _TIME, _IN_WORDS))


def is_date(text: str) -> bool:
    """Whether a text is a day without a time of day."""
    text = text.strip()
    return bool(_DATE.fullmatch(text)) or (len(text) == 8 and bool(_CALENDAR_DIGITS.fullmatch(text)))


def is_clock(text: str) -> bool:
    """Whether a text is a time of day without a date."""
    text = text.strip()
    return bool(_TIME_OF_DAY.fullmatch(text) or _HOUR_DIGITS.fullmatch(text))


def _is_number(text: str) -> bool:
    try:
        number = float(text)
    except ValueError:
        return False
    return any(MIN_TIME_S * unit <= number < MAX_TIME_S * unit for unit in _UNITS_PER_S)
