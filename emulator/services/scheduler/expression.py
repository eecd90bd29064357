"""Schedule expressions: ``at``, ``rate`` and ``cron``.

EventBridge Scheduler user guide, "Schedule types".
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

FIRST_YEAR, LAST_YEAR = 1970, 2199
UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
RATE = re.compile(r"(?P<value>[1-9]\d*) (?P<unit>minute|hour|day)(?P<plural>s?)")
MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
Days = Callable[[date], bool]


class ExpressionError(ValueError):
    """Invalid schedule expression; the message names the invalid part."""


class Expression(Protocol):
    """A parsed expression."""

    def next_after(self, moment: datetime, anchor: datetime) -> datetime | None:
        """First due time after a moment, in UTC; None if there is none.

        Args:
            anchor: start of the schedule, from which rates are counted.
        """


@dataclass(frozen=True)
class At:
    """One-time schedule."""

    due: datetime

    def next_after(self, moment: datetime, anchor: datetime) -> datetime | None:
        """The time, unless it is past."""
        return self.due if self.due > max(moment, anchor) else None


@dataclass(frozen=True)
class Rate:
    """Rate-based schedule: fixed period, counted from the start of the schedule."""

    period: timedelta

    def next_after(self, moment: datetime, anchor: datetime) -> datetime | None:
        """Next multiple of the period."""
        if moment < anchor:
            return anchor
        return anchor + ((moment - anchor) // self.period + 1) * self.period


@dataclass(frozen=True)
class Cron:
    """Cron-based schedule: calendar times in a time zone.

    Times that the change to daylight saving time skips are not due; times that occur twice are due once.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    months: frozenset[int]
    years: frozenset[int]
    is_day: Days
    zone: ZoneInfo

    def next_after(self, moment: datetime, anchor: datetime) -> datetime | None:
        """Next matching minute."""
        after = max(moment, anchor)
        for day in self._days(after.astimezone(self.zone).date()):
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
                    due = local.astimezone(UTC)
                    exists = due.astimezone(self.zone).replace(tzinfo=None) == local.replace(tzinfo=None)
                    if exists and due > after:
                        return due
        return None

    def _days(self, day: date) -> Iterator[date]:
        while day.year <= max(self.years):
            if day.year not in self.years:
                day = date(day.year + 1, 1, 1)
            elif day.month not in self.months:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
            else:
                if self.is_day(day):
                    yield day
                day += timedelta(days=1)


def parse(expression: str, timezone: str) -> Expression:
    """Parse the expression of a schedule in its time zone.

    Raises:
        ExpressionError: the expression is invalid or the time zone unknown.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ExpressionError(f"unknown time zone {timezone!r}") from None
    kind, _, rest = expression.partition("(")
    text = rest.removesuffix(")")
    if kind not in ("at", "rate", "cron") or text == rest:
        raise ExpressionError(f"{expression!r}: write at(…), rate(…) or cron(…)")
    if kind == "at":
        return _at(text, zone)
    return _rate(text) if kind == "rate" else _cron(text, zone)


def _at(text: str, zone: ZoneInfo) -> At:
    try:
        due = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=zone)
    except ValueError:
        raise ExpressionError(f"at({text}): write yyyy-mm-ddThh:mm:ss") from None
    return At(due.astimezone(UTC))


def _rate(text: str) -> Rate:
    """Rate; the plural may follow 1 (``rate(1 hours)``), unlike in rules of EventBridge."""
    match = RATE.fullmatch(text)
    if not match or (match["value"] != "1" and not match["plural"]):
        raise ExpressionError(f"rate({text}): write '1 day', '2 days', '5 minutes', …")
    return Rate(int(match["value"]) * UNITS[match["unit"]])


def _cron(text: str, zone: ZoneInfo) -> Cron:
    fields = text.upper().split()
    if len(fields) != 6:
        raise ExpressionError(f"cron({text}): {len(fields)} fields instead of 6")
    minutes, hours, day_of_month, months, day_of_week, years = fields
    if (day_of_month == "?") == (day_of_week == "?"):
        raise ExpressionError(f"cron({text}): one of day-of-month and day-of-week must be ?")
    return Cron(
        minutes=_numbers("minutes", minutes, 0, 59),
        hours=_numbers("hours", hours, 0, 23),
        months=_numbers("month", months, 1, 12, MONTHS),
        years=_numbers("year", years, FIRST_YEAR, LAST_YEAR),
        is_day=_day_of_month(day_of_month) if day_of_week == "?" else _day_of_week(day_of_week),
        zone=zone,
    )


def _day_of_month(field: str) -> Days:
    """Day of month: numbers, last day (``L``), last weekday (``LW``), weekday nearest to a day (``15W``)."""
    if field == "L":
        return lambda day: day.day == _length(day)
    if field == "LW":
        return lambda day: day.day == _nearest_working_day(day, _length(day))
    if field.endswith("W"):
        wanted = _number("day-of-month", field[:-1], 1, 31, {})
        return lambda day: day.day == _nearest_working_day(day, wanted)
    numbers = _numbers("day-of-month", field, 1, 31)
    return lambda day: day.day in numbers


def _day_of_week(field: str) -> Days:
    """Day-of-week field: numbers or names, the n-th (``FRI#2``) or the last (``FRIL``) of the month."""
    if "#" in field:
        name, _, nth = field.partition("#")
        weekday = _number("day-of-week", name, 1, 7, WEEKDAYS)
        week = _number("day-of-week", nth, 1, 5, {})
        return lambda day: _weekday(day) == weekday and (day.day - 1) // 7 + 1 == week
    if field.endswith("L") and field != "L":
        weekday = _number("day-of-week", field[:-1], 1, 7, WEEKDAYS)
        return lambda day: _weekday(day) == weekday and day.day > _length(day) - 7
    numbers = _numbers("day-of-week", "SAT" if field == "L" else field, 1, 7, WEEKDAYS)
    return lambda day: _weekday(day) in numbers


def _numbers(
    name: str, field: str, low: int, high: int, names: Mapping[str, int] | None = None
) -> frozenset[int]:
    """Values of a field: ``*``, numbers and names, ranges, steps, and lists of them."""
    found: set[int] = set()
    for item in field.split(","):
        span, slash, step = item.partition("/")
        first, dash, last = span.partition("-")
        start = low if span == "*" else _number(name, first, low, high, names or {})
        end = high if slash or span == "*" else start
        if dash:
            end = _number(name, last, low, high, names or {})
        if end < start:
            raise ExpressionError(f"{name} {item}: the range ends before it begins")
        found.update(range(start, end + 1, _number(name, step, 1, high, {}) if slash else 1))
    return frozenset(found)


def _number(name: str, text: str, low: int, high: int, names: Mapping[str, int]) -> int:
    value = names.get(text, int(text) if text.isdigit() else None)
    if value is None or not low <= value <= high:
        raise ExpressionError(f"{name} {text!r}: write {low} to {high}")
    return value


def _weekday(day: date) -> int:
    """Day of the week; 1 is Sunday."""
    return day.isoweekday() % 7 + 1


def _length(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _nearest_working_day(day: date, wanted: int) -> int:
    """Weekday nearest to a day, within the month; 0 if the month has no such day."""
    if wanted > _length(day):
        return 0
    weekday = day.replace(day=wanted).isoweekday()
    if weekday == 6:
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == 7:
        return wanted + 1 if wanted < _length(day) else wanted - 2
    return wanted
