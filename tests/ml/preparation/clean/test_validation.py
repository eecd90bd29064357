"""Validation: usable events have typed columns, and all others a quarantine reason."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pyspark.sql import DataFrame, SparkSession, functions

from ml.contract import MAX_ID_BYTES, MISSING_IDS, run_seconds
from ml.preparation.clean.validation import unusable_events, usable_events, validate_events
from ml.preparation.read.times import with_timestamp
from ml.settings.preparation import CleanSettings, WeightSettings
from tests.ml.conftest import spark_conf

pytestmark = pytest.mark.spark

SCHEMA = "raw string, source string, problem string, user string, item string, time string, value string"
USABLE = {
    "881250949": 881250949,
    " 881250949 ": 881250949,
    "881250949.9": 881250949,
    "8.81250949E8": 881250949,
    "631152000": 631152000,
    "4102444799": 4102444799,
    "2024-05-01": 1714521600,
    "2024-05-01 10:00:00": 1714557600,
    "2024-05-01T10:00:00Z": 1714557600,
    "2024-05-01T12:00:00+02:00": 1714557600,
}
UNUSABLE_TIMES: dict[str | None, str] = {
    None: "missing_time",
    "": "missing_time",
    "  ": "missing_time",
    "yesterday": "unparsable_time",
    "2024-13-01": "unparsable_time",
    "NaN": "unparsable_time",
    "Infinity": "unparsable_time",
    "0x1F": "unparsable_time",
    "1e300": "unparsable_time",
    "-5": "time_out_of_range",
    "0": "time_out_of_range",
    "631151999": "time_out_of_range",
    "4102444800": "time_out_of_range",
    "1714557600000": "time_out_of_range",
    "1989-12-31T23:59:59Z": "time_out_of_range",
    "2100-01-01": "time_out_of_range",
}
GOOD = "881250949"
Row = tuple[str | None, str | None, str | None, str | None]  # problem, user, item, time
UNUSABLE_ROWS: list[tuple[Row, str]] = [
    (("unparsable_row", "u", "i", GOOD), "unparsable_row"),
    (("line_too_long", None, None, None), "line_too_long"),
    ((None, None, "i", GOOD), "missing_user"),
    ((None, "  ", "i", GOOD), "missing_user"),
    ((None, None, None, None), "missing_user"),
    ((None, "u", None, GOOD), "missing_item"),
    *(((None, f" {word}\u00a0", "i", GOOD), "missing_user") for word in sorted(MISSING_IDS)),
    ((None, "u", "NULL", GOOD), "missing_item"),
    ((None, "u", "", GOOD), "missing_item"),
    ((None, "u\ufffd", "i", GOOD), "not_utf8"),
    ((None, "u", "\ufffd", GOOD), "not_utf8"),
    ((None, "u\x00", "i", GOOD), "control_character_in_id"),
    ((None, "u", "é" * (MAX_ID_BYTES // 2) + "x", GOOD), "id_too_long"),
]


def timed(spark: SparkSession, rows: Sequence[Sequence[str | None]]) -> DataFrame:
    """Raw events whose times are Unix seconds or ISO 8601."""
    return with_timestamp(spark.createDataFrame(rows, SCHEMA), "seconds")


@pytest.mark.parametrize("ansi", ["false", "true"])
def test_every_row_is_usable_or_has_a_reason(spark: SparkSession, ansi: str) -> None:
    rows: list[Row] = [(None, "u", "i", time) for time in USABLE]
    rows += [(None, "u", "i", time) for time in UNUSABLE_TIMES]
    rows += [row for row, _ in UNUSABLE_ROWS]
    expected = [None] * len(USABLE) + [*UNUSABLE_TIMES.values(), *(reason for _, reason in UNUSABLE_ROWS)]
    raw = [(str(number), "file:/a%20b+c%2B.csv", *row, None) for number, row in enumerate(rows)]
    with spark_conf(spark, "spark.sql.ansi.enabled", ansi):
        validated = validate_events(timed(spark, raw), WeightSettings()).collect()
    assert [row["reason"] for row in validated] == expected
    usable = validated[: len(USABLE)]
    assert [row["timestamp"] for row in usable] == list(USABLE.values())
    assert all(row["raw"] is row["source"] is None for row in usable)
    assert {row["weight"] for row in usable} == {1.0}
    assert {row["source"] for row in validated[len(USABLE) :]} == {"file:/a b+c+.csv"}
    assert [row["raw"] for row in validated[len(USABLE) :]] == [str(n) for n in range(len(USABLE), len(rows))]


def test_events_are_left_out_as_the_settings_say(spark: SparkSession) -> None:
    run_s = run_seconds("20240501T100000Z")
    rows = [
        ("", "", None, user, "i", str(run_s + later), value)
        for user, later, value in [
            ("u", 0, "view"),
            ("NULL", 0, "view"),
            ("-1", 0, "view"),
            ("0", 0, "view"),
            ("u", 0, "remove"),
            (None, 0, "remove"),
            ("u", 86_400, "view"),
            ("u", 86_401, "view"),
        ]
    ]
    weights = WeightSettings(event_weights={"view": 1.0, "remove": 0})
    clean = CleanSettings(anonymous="drop", missing_ids="-1, x")
    validated = validate_events(timed(spark, rows), weights, clean, run_s=run_s)
    reasons = [row["reason"] for row in validated.select("reason").collect()]
    assert reasons == [
        *(None, "anonymous_user", "anonymous_user", None),
        *("ignored_event_type", "ignored_event_type", None, "later_than_run"),
    ]
    assert unusable_events(validated).count() == 1


def test_events_without_times_are_usable(spark: SparkSession) -> None:
    rows = [("", "", None, "u", "i", None, None), ("", "", None, None, "i", None, None)]
    events = spark.createDataFrame(rows, SCHEMA).withColumn("timestamp", functions.lit(None).cast("bigint"))
    validated = validate_events(events, WeightSettings(), has_time=False).collect()
    assert [(row["timestamp"], row["reason"]) for row in validated] == [(0, None), (0, "missing_user")]


def test_ids_are_trimmed_and_otherwise_unchanged(spark: SparkSession) -> None:
    rows = [
        ("", "", None, " u1 ", 'the "best", 😀\n', GOOD, None),
        ("", "", None, "é" * (MAX_ID_BYTES // 2), "i", GOOD, None),
        ("", "", None, None, "i", GOOD, None),
    ]
    usable = usable_events(validate_events(timed(spark, rows), WeightSettings()))
    assert usable.columns == ["user_id", "item_id", "timestamp", "weight"]
    assert [tuple(row) for row in usable.collect()] == [
        ("u1", 'the "best", 😀', int(GOOD), 1.0),
        ("é" * (MAX_ID_BYTES // 2), "i", int(GOOD), 1.0),
    ]


def test_raw_row_is_truncated(spark: SparkSession) -> None:
    rows = [("x" * 100_000, "", "unparsable_row", None, None, None, None)]
    (row,) = validate_events(timed(spark, rows), WeightSettings()).collect()
    assert row["raw"] == "x" * 200


BY_TYPE = WeightSettings(event_weights={"View": 1.0, "purchase": 5.5, "remove_from_cart": 0.0})
BY_NUMBER = WeightSettings(weight_column="rating")


@pytest.mark.parametrize("ansi", ["false", "true"])
@pytest.mark.parametrize(
    ("weights", "values"),
    [
        (
            BY_TYPE,
            {
                "view": 1.0,
                " purchase ": 5.5,
                "VIEW": 1.0,
                "remove_from_cart": "ignored_event_type",
                **dict.fromkeys(["views", "", None], "unknown_event"),
            },
        ),
        (
            BY_NUMBER,
            {
                "5": 5.0,
                " .5 ": 0.5,
                "1e-3": 0.001,
                **dict.fromkeys([None, "", "0", "-1", "NaN", "Infinity", "1e999"], "bad_weight"),
                **dict.fromkeys(["1e39", "1e-50"], "bad_weight"),
                **dict.fromkeys(["5d", "0x1p3", "five", "5,0", "1_0"], "bad_weight"),
            },
        ),
    ],
)
def test_event_without_a_valid_weight_is_quarantined(
    spark: SparkSession, weights: WeightSettings, values: dict[str | None, float | str], ansi: str
) -> None:
    rows = [("", "", None, "u", "i", GOOD, value) for value in values]
    with spark_conf(spark, "spark.sql.ansi.enabled", ansi):
        validated = validate_events(timed(spark, rows), weights).collect()
    assert [row["reason"] or row["weight"] for row in validated] == list(values.values())
