"""Times as Spark columns agree with the reference in Python."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, tzinfo
from functools import reduce
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.detect.times import FORMS, MAX_TIME_S, MIN_TIME_S, unix_seconds
from ml.preparation.read.times import with_timestamp
from tests.ml.conftest import spark_conf
from tests.ml.preparation.detect.test_times import DETECTED

PATTERNS = (
    "%d.%m.%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%Y%m%d%H%M%S",
    "%a, %d %b %Y %H:%M:%S %z",
    "%B %d, %Y %H:%M",
    "%y-%m-%d %H:%M:%S",
)
NEW_YORK = ZoneInfo("America/New_York")
ODD = [
    *("", "abc", "2023-02-30", "2/30/2023", "31.11.2023 10:00", "1e300", "NaN", "0x1F", "-5", "\x01" * 14),
    *("2023-03-12 02:30:00", "2023-11-05 01:30:00", "11/5/2023 1:30", "12/31/2023 12:00 AM"),  # time changes
]


@pytest.mark.spark
def test_spark_reads_times_as_the_reference_does(spark: SparkSession) -> None:
    made = random.Random(1)
    moments = [datetime.fromtimestamp(made.randrange(MIN_TIME_S, MAX_TIME_S), UTC) for _ in PATTERNS]
    written = [moment.strftime(pattern) for moment, pattern in zip(moments, PATTERNS, strict=True)]
    texts = [text for text, *_ in DETECTED] + written + ODD
    times = spark.createDataFrame([(text,) for text in texts], "time string").coalesce(1)
    cases: list[tuple[str, str, tzinfo]] = [(form, "UTC", UTC) for form in (*FORMS, PATTERNS[1], PATTERNS[4])]
    cases += [(form, str(NEW_YORK), NEW_YORK) for form in ("iso8601", "month-first")]
    parts = [
        with_timestamp(times, form, zone).withColumn("number", F.lit(number))
        for number, (form, zone, _) in enumerate(cases)
    ]
    with (
        spark_conf(spark, "spark.sql.ansi.enabled", "true"),
        spark_conf(spark, "spark.sql.codegen.wholeStage", "false"),  # 14 plans, each of them used once
    ):
        rows = reduce(DataFrame.unionByName, parts).collect()
    found = {(cases[row["number"]][:2], row["time"]): in_range(row["timestamp"]) for row in rows}
    expected = {
        ((form, name), text): unix_seconds(text, form, zone) for form, name, zone in cases for text in texts
    }
    assert found == expected
    assert sum(each is not None for each in found.values()) > len(texts)


def in_range(seconds: int | None) -> int | None:
    """The time if it is one of those that validation keeps."""
    return seconds if seconds is not None and MIN_TIME_S <= seconds < MAX_TIME_S else None


@pytest.mark.parametrize(("text", "form", "_is_local", "time"), DETECTED)
def test_detected_form_gives_the_time(text: str, form: str, _is_local: bool, time: str) -> None:
    assert unix_seconds(text, form) == int(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp())


SECONDS = st.integers(MIN_TIME_S, MAX_TIME_S - 1)
DAY_S = 86_400


@given(SECONDS, st.sampled_from(PATTERNS))
def test_pattern_reads_what_strftime_writes_as_strptime_does(seconds: int, pattern: str) -> None:
    text = datetime.fromtimestamp(seconds, UTC).strftime(pattern)
    read = datetime.strptime(text, pattern)  # noqa: DTZ007 (some patterns have a zone)
    expected = int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())
    assert unix_seconds(text, pattern) == (expected if in_range(expected) is not None else None)


# A day from the ends of the range: the year as written is limited, too.
@given(st.integers(MIN_TIME_S + DAY_S, MAX_TIME_S - DAY_S), st.sampled_from([0, 540, -420, 330]))
def test_time_with_an_offset_is_the_same_in_every_zone(seconds: int, offset: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC) + timedelta(minutes=offset)
    sign = "-" if offset < 0 else "+"
    text = f"{moment:%Y-%m-%dT%H:%M:%S}{sign}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    assert unix_seconds(text, "iso8601", NEW_YORK) == unix_seconds(text, "iso8601") == seconds


@given(SECONDS, st.sampled_from([form for form in FORMS if FORMS[form].units_per_s]))
def test_number_has_the_form_of_its_magnitude(seconds: int, form: str) -> None:
    units_per_s = FORMS[form].units_per_s
    assert units_per_s is not None
    text = str(seconds * units_per_s + units_per_s // 2)
    assert unix_seconds(text, form) == seconds
    numbers = [each for each in FORMS if FORMS[each].units_per_s and unix_seconds(text, each) is not None]
    assert numbers == [form]
