"""Schedule expressions: examples and rules of the EventBridge Scheduler user guide."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.services.scheduler.expression import ExpressionError, parse

START = datetime(2026, 1, 1, tzinfo=UTC)


def due(expression: str, after: str, zone: str = "UTC", n: int = 1) -> list[str]:
    """The next ``n`` due times, in UTC."""
    moment, found = datetime.fromisoformat(after).replace(tzinfo=UTC), []
    for _ in range(n):
        moment = parse(expression, zone).next_after(moment, START)
        if moment is None:
            break
        found.append(moment.strftime("%Y-%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("fields", "times"),
    [
        ("0 2 * * ? *", ["2026-11-23 02:00", "2026-11-24 02:00"]),
        ("15 10 ? * 6L 2026-2027", ["2026-11-27 10:15", "2026-12-25 10:15"]),  # the guide's example
        ("0/15 * * * ? *", ["2026-11-23 00:15", "2026-11-23 00:30"]),
        ("5-10,30 23 23 11 ? *", ["2026-11-23 23:05", "2026-11-23 23:06"]),
        ("0 8 ? * MON-FRI *", ["2026-11-23 08:00", "2026-11-24 08:00"]),
        ("0 8 ? * 1 *", ["2026-11-29 08:00", "2026-12-06 08:00"]),  # 1 is Sunday
        ("0 8 ? * L *", ["2026-11-28 08:00", "2026-12-05 08:00"]),  # the last day of the week
        ("0 8 ? * TUE#1 *", ["2026-12-01 08:00", "2027-01-05 08:00"]),
        ("0 8 ? * 2#5 *", ["2026-11-30 08:00", "2027-03-29 08:00"]),  # months with a fifth Monday
        ("0 0 L * ? *", ["2026-11-30 00:00", "2026-12-31 00:00"]),
        ("0 2 LW * ? *", ["2026-11-30 02:00", "2026-12-31 02:00"]),  # case 13
        ("0 2 LW 1,10 ? *", ["2027-01-29 02:00", "2027-10-29 02:00"]),  # the months end on a Sunday
        ("0-15/1 8-8 ? * 2,3,4,5,6,7 *", ["2026-11-23 08:00", "2026-11-23 08:01"]),  # case 13
        ("0 0 31 * ? *", ["2026-12-31 00:00", "2027-01-31 00:00"]),
        ("0 0 28W * ? *", ["2026-11-27 00:00", "2026-12-28 00:00"]),  # 28 November is a Saturday
        ("0 0 1W MAY,AUG ? 2027", ["2027-05-03 00:00", "2027-08-02 00:00"]),  # 1 May is a Saturday
        ("0 0 29 2 ? *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("0 0 1 1 ? 2025", []),
        ("0 0 30 2 ? *", []),
    ],
)
def test_cron_is_due_at_matching_times(fields: str, times: list[str]) -> None:
    assert due(f"cron({fields})", "2026-11-23 00:00", n=2) == times


def test_cron_and_at_use_the_time_zone() -> None:
    assert due("cron(0 2 * * ? *)", "2026-11-23 00:00", "Asia/Seoul") == ["2026-11-23 17:00"]
    assert due("at(2026-11-24T02:00:00)", "2026-11-23 00:00", "Asia/Seoul") == ["2026-11-23 17:00"]


def test_daylight_saving_change_skips_missing_and_repeats_no_time() -> None:
    spring = due("cron(30 2 * * ? *)", "2026-03-27 12:00", "Europe/Berlin", n=3)
    assert spring == ["2026-03-28 01:30", "2026-03-30 00:30", "2026-03-31 00:30"]
    autumn = due("cron(30 2 * * ? *)", "2026-10-24 12:00", "Europe/Berlin", n=2)
    assert autumn == ["2026-10-25 00:30", "2026-10-26 01:30"]


def test_at_is_due_once() -> None:
    assert due("at(2026-11-24T02:00:30)", "2026-11-24 02:00") == ["2026-11-24 02:00"]
    assert due("at(2026-11-24T02:00:30)", "2026-11-24 02:01") == []


def test_rate_begins_at_start() -> None:
    every = parse("rate(5 minutes)", "UTC")
    assert every.next_after(START - timedelta(microseconds=1), START) == START
    assert every.next_after(START, START) == START + timedelta(minutes=5)


@given(
    st.integers(1, 5000),
    st.sampled_from(["minutes", "hours", "days"]),
    st.timedeltas(timedelta(), timedelta(900)),
)
def test_rate_is_due_at_next_multiple(n: int, unit: str, passed: timedelta) -> None:
    expression = f"rate({n} {unit})"  # the plural is right for 1, too (case 13)
    if n == 1:
        assert parse(expression, "UTC") == parse(f"rate(1 {unit.removesuffix('s')})", "UTC")
    found = parse(expression, "UTC").next_after(START + passed, START)
    period = timedelta(**{unit: n})
    assert found is not None
    assert timedelta() < found - (START + passed) <= period
    assert (found - START) % period == timedelta()


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("cron(0 2 * * *)", "5 fields instead of 6"),
        ("cron(0 2 * * * *)", "one of day-of-month and day-of-week must be"),
        ("cron(0 2 ? * ? *)", "one of day-of-month and day-of-week must be"),
        ("cron(60 2 * * ? *)", "minutes '60': write 0 to 59"),
        ("cron(0 2 * FOO ? *)", "month 'FOO': write 1 to 12"),
        ("cron(0 5-2 * * ? *)", "hours 5-2: the range ends before it begins"),
        ("cron(0 2 ? * MON#6 *)", "day-of-week '6': write 1 to 5"),
        ("rate(2 minute)", "write '1 day'"),
        ("rate(0 days)", "write '1 day'"),
        ("at(2026-11-24)", "write yyyy-mm-ddThh:mm:ss"),
        ("every night", "write at"),
        ("cron(0 2 * * ? *", "write at"),
    ],
)
def test_invalid_expression_is_refused(expression: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        parse(expression, "UTC")


def test_unknown_time_zone_is_refused() -> None:
    with pytest.raises(ExpressionError, match="unknown time zone 'Asia/Nowhere'"):
        parse("rate(1 day)", "Asia/Nowhere")
