from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ml.preparation.detect.times import AmbiguousTimeError, detect_times, is_clock, is_date, is_time

_MAY_1 = datetime(2023, 5, 1, tzinfo=UTC)

# text, form, whether it is local, time
DETECTED = [
    ("1682899634", "seconds", False, "2023-05-01T00:07:14"),
    ("1682899634.7", "seconds", False, "2023-05-01T00:07:14"),
    ("1.682899634E9", "seconds", False, "2023-05-01T00:07:14"),
    ("1430637787000", "milliseconds", False, "2015-05-03T07:23:07"),
    ("1430637787000.5", "milliseconds", False, "2015-05-03T07:23:07"),
    ("1682899634000007", "microseconds", False, "2023-05-01T00:07:14"),
    ("1682899634000007123", "nanoseconds", False, "2023-05-01T00:07:14"),
    ("20230501", "digits", False, "2023-05-01T00:00:00"),
    ("2023050113", "digits", True, "2023-05-01T13:00:00"),
    ("202305011305", "digits", True, "2023-05-01T13:05:00"),
    ("20230501130507", "digits", True, "2023-05-01T13:05:07"),
    ("20230501130507123", "digits", True, "2023-05-01T13:05:07"),
    ("20230501 130507", "digits", True, "2023-05-01T13:05:07"),
    ("20230501T130507Z", "digits", False, "2023-05-01T13:05:07"),
    ("2023-05-01", "iso8601", False, "2023-05-01T00:00:00"),
    ("2014-09-02T15:32:37.540Z", "iso8601", False, "2014-09-02T15:32:37"),
    ("2019-10-01 03:18:19 UTC", "iso8601", False, "2019-10-01T03:18:19"),
    ("2023-05-01T13:05:07+0900", "iso8601", False, "2023-05-01T04:05:07"),
    ("2023-05-01 13:05", "iso8601", True, "2023-05-01T13:05:00"),
    ("2023/05/01 13:05:07", "year-first", True, "2023-05-01T13:05:07"),
    ("2023년 5월 1일 오후 3:05", "year-first", True, "2023-05-01T15:05:00"),
    ("2023. 5. 1. 오후 3:05:07", "year-first", True, "2023-05-01T15:05:07"),
    ("2023. 5. 1. 오전 12:05:07", "year-first", True, "2023-05-01T00:05:07"),
    ("2023년 5월 1일 15시 5분 7초", "year-first", True, "2023-05-01T15:05:07"),
    ("5/13/2023 0:27", "month-first", True, "2023-05-13T00:27:00"),
    ("05/13/23, 1:05\u202fPM", "month-first", True, "2023-05-13T13:05:00"),
    ("13/5/2023 0:27", "day-first", True, "2023-05-13T00:27:00"),
    ("31.12.2023 23:59", "day-first", True, "2023-12-31T23:59:00"),
    ("Mon, 01 May 2023 13:05:07 +0900", "month-names", False, "2023-05-01T04:05:07"),
    ("Mon Aug 01 13:41:57 -0700 2011", "month-names", False, "2011-08-01T20:41:57"),
    ("Mon Aug 01 13:41:57 PDT 2011", "month-names", False, "2011-08-01T20:41:57"),
    ("01-MAY-23", "month-names", False, "2023-05-01T00:00:00"),
    ("10/Oct/2000:13:55:36 -0700", "month-names", False, "2000-10-10T20:55:36"),
    ("Mon May 01 2023 13:05:07 GMT+0900 (Korean Standard Time)", "month-names", False, "2023-05-01T04:05:07"),
]


@pytest.mark.parametrize(("text", "form", "is_local", "_time"), DETECTED)
def test_form_is_detected(text: str, form: str, is_local: bool, _time: str) -> None:
    found = detect_times([text, "", text])
    assert found is not None
    assert (found.form, found.is_local, found.n_read) == (form, is_local, 2)
    assert is_time(text)


@pytest.mark.parametrize("text", ["", "1", "5.0", "123456", "u1", "2023-02-30", "99991231", "iPhone 2023"])
def test_text_that_is_no_time_has_no_form(text: str) -> None:
    assert detect_times([text]) is None
    assert not is_time(text)


@pytest.mark.parametrize("text", ["5/1/2023 0:27", "5/1/23 1:05 PM", "01-05-2023"])
def test_day_that_may_be_the_month_is_refused(text: str) -> None:
    with pytest.raises(AmbiguousTimeError, match="--time-format month-first or day-first"):
        detect_times([text])


def test_one_value_decides_between_month_and_day() -> None:
    found = detect_times(["5/1/2023 0:27", "5/13/2023 1:00", "no time"])
    assert found is not None
    assert (found.form, found.n_read) == ("month-first", 2)


def test_ten_digits_are_seconds_unless_all_are_calendar_digits() -> None:
    hours = [(_MAY_1 + timedelta(hours=each)).strftime("%Y%m%d%H") for each in range(50)]
    of_2034 = ["2015102315", "2015107799", "2019999999"]  # seconds; only the first is a day
    assert [found and found.form for found in map(detect_times, (hours, of_2034))] == ["digits", "seconds"]


def test_dates_and_times_of_day_are_told_apart() -> None:
    dates = ["2023-05-01", "20230501", "5/1/2023", "2023. 5. 1.", "2023년 5월 1일"]
    times_of_day = ["13:05", "13:05:07", "1:05 PM", "오후 3:05", "130507"]
    assert all(is_date(text) and not is_clock(text) for text in dates)
    assert all(is_clock(text) and not is_date(text) for text in times_of_day)
    assert not is_date("2023-05-01 13:05")
