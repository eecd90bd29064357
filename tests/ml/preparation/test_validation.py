"""Validation: a usable event is typed, any other has the reason."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from ml.preparation.validation import checked_events, usable_events

pytestmark = pytest.mark.spark

SCHEMA = "raw string, is_parsed boolean, user string, item string, time string"
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
Row = tuple[bool, str | None, str | None, str | None]  # is_parsed, user, item, time
UNUSABLE_ROWS: list[tuple[Row, str]] = [
    ((False, "u", "i", GOOD), "unparsable_row"),
    ((False, None, None, None), "unparsable_row"),
    ((True, None, "i", GOOD), "missing_user"),
    ((True, "  ", "i", GOOD), "missing_user"),
    ((True, None, None, None), "missing_user"),
    ((True, "u", None, GOOD), "missing_item"),
    ((True, "u", "", GOOD), "missing_item"),
    ((True, "u\ufffd", "i", GOOD), "not_utf8"),
    ((True, "u", "\ufffd", GOOD), "not_utf8"),
]


@pytest.mark.parametrize("ansi", ["false", "true"])
def test_every_row_is_usable_or_has_its_reason(spark: SparkSession, ansi: str) -> None:
    rows: list[Row] = [(True, "u", "i", time) for time in USABLE]
    rows += [(True, "u", "i", time) for time in UNUSABLE_TIMES]
    rows += [row for row, _ in UNUSABLE_ROWS]
    expected = [None] * len(USABLE) + [*UNUSABLE_TIMES.values(), *(reason for _, reason in UNUSABLE_ROWS)]
    raw = [(str(number), *row) for number, row in enumerate(rows)]
    spark.conf.set("spark.sql.ansi.enabled", ansi)
    try:
        checked = checked_events(spark.createDataFrame(raw, SCHEMA)).collect()
    finally:
        spark.conf.unset("spark.sql.ansi.enabled")
    assert [row["reason"] for row in checked] == expected
    usable = checked[: len(USABLE)]
    assert [row["timestamp"] for row in usable] == list(USABLE.values())
    assert all(row["raw"] is None for row in usable)
    assert [row["raw"] for row in checked[len(USABLE) :]] == [str(n) for n in range(len(USABLE), len(rows))]


def test_ids_are_trimmed_and_nothing_else(spark: SparkSession) -> None:
    rows = [("", True, " u1 ", 'the "best", 😀', GOOD), ("", True, None, "i", GOOD)]
    usable = usable_events(checked_events(spark.createDataFrame(rows, SCHEMA)))
    assert usable.columns == ["user_id", "item_id", "timestamp", "weight"]
    assert [tuple(row) for row in usable.collect()] == [("u1", 'the "best", 😀', int(GOOD), 1.0)]


def test_an_example_is_cut_short(spark: SparkSession) -> None:
    rows = [("x" * 100_000, False, None, None, None)]
    (row,) = checked_events(spark.createDataFrame(rows, SCHEMA)).collect()
    assert row["raw"] == "x" * 200
