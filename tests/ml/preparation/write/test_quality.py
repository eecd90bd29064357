"""Quality gate: expectations from JSON, and the report of their evaluation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from ml.manifest import Counts
from ml.preparation.errors import InputError
from ml.preparation.spark.storage import Storage
from ml.preparation.split.unseen import UnseenItems
from ml.preparation.write.quality import (
    Expectation,
    QualityError,
    evaluate,
    load_expectations,
    max_quarantined_share,
    packaged_expectations,
    parse_expectations,
    quality_json,
    require_passed,
    with_quarantined_share,
)
from ml.preparation.write.quality_metrics import METRICS, RunStatistics, popularity_shift
from ml.settings.preparation import QualitySettings


def counts(**changes: Any) -> Counts:
    fields = {
        "events_read": 1000,
        "kept": 800,
        "quarantined": {"missing_user": 30, "not_utf8": 10},
        "duplicates": 100,
        "filtered": 60,
        "users": 40,
        "items": 50,
        "train": 720,
        "validation": 40,
        "test": 40,
    }
    return Counts(**{**fields, **changes})


def statistics(previous: Counts | None = None, shift: float | None = None, **changes: Any) -> RunStatistics:
    return RunStatistics(counts(**changes), UnseenItems(12, 10, 2), previous, shift)


def evaluate_one(expectation: Expectation, run: RunStatistics) -> dict[str, Any]:
    (only,) = evaluate([expectation], run)
    return only


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quarantined_share", 0.04),
        ("missing_user_share", 0.03),
        ("missing_item_share", 0.0),
        ("users", 40),
        ("items", 50),
        ("rankable_users", 38),
        ("few_unseen_share", 0.25),
        ("events_read_ratio", 2.0),
        ("kept_ratio", 1.6),
        ("popularity_shift", 0.25),
    ],
)
def test_metric_has_its_definition(name: str, value: float) -> None:
    run = statistics(counts(events_read=500, kept=500, train=420), 0.25)
    assert evaluate_one(Expectation(name, min=value, max=value), run)["observed"] == value
    assert evaluate_one(Expectation(name, min=value, max=value), run)["passed"] is True
    assert evaluate_one(Expectation(name, max=value - 0.001), run)["passed"] is False
    assert evaluate_one(Expectation(name, min=value + 0.001), run)["passed"] is False


def test_first_run_skips_comparisons_with_a_note() -> None:
    report = evaluate(parse_expectations(packaged_expectations(), "x"), statistics())
    skipped = {each["name"] for each in report if each["passed"] is None}
    assert skipped == {"events_read_ratio", "kept_ratio", "popularity_shift"}
    assert {each["note"] for each in report if each["passed"] is None} == {
        "skipped: no previous run to compare with"
    }
    require_passed(report, "run")


def test_packaged_expectations_cover_every_metric() -> None:
    assert {each.name for each in parse_expectations(packaged_expectations(), "x")} == set(METRICS)


def test_failed_expectation_is_named_with_its_value_and_limits() -> None:
    report = evaluate(
        [Expectation("users", min=1), Expectation("kept_ratio", 0.5, 2), Expectation("items", min=99)],
        statistics(counts(kept=2000)),
    )
    with pytest.raises(QualityError) as caught:
        require_passed(report, "s3://data/prepared/run=x")
    assert str(caught.value).startswith(
        "s3://data/prepared/run=x: quality: kept_ratio is 0.4, expected at least 0.5 and at most 2 "
        "(and 1 more)"
    )


def test_report_has_limits_values_and_counts() -> None:
    run = statistics()
    document = json.loads(quality_json("x", evaluate([Expectation("users", min=41)], run), run))
    assert document["passed"] is False
    assert document["expectations"] == [
        {
            "name": "users",
            "means": "users that are kept",
            "limit": {"min": 41, "max": None},
            "observed": 40,
            "passed": False,
            "note": None,
        }
    ]
    assert document["counts"]["quarantined"] == {"missing_user": 30, "not_utf8": 10}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "e.json: not JSON"),
        ("{}", "e.json: expected a list of expectations"),
        ('[{"name": "beauty", "min": 1}]', r"e.json: \[0\].name: give one of quarantined_share, "),
        ('[{"name": "users", "least": 1}]', r"e.json: \[0\].least: unknown field; known are max, min, name"),
        ('[{"name": "users"}]', r"e.json: \[0\]: users has neither min nor max"),
        ('[{"name": "users", "min": "1"}]', r"e.json: \[0\].min: expected a number, got '1'"),
        ('[{"name": "users", "min": NaN}]', r"e.json: \[0\].min: expected a number, got nan"),
        ('[{"name": "users", "min": 2, "max": 1}]', r"e.json: \[0\].min: 2 is above max, 1"),
        (
            '[{"name": "users", "min": 1}, {"name": "users", "max": 9}]',
            "e.json: users appears more than once",
        ),
    ],
)
def test_wrong_expectation_is_an_error_that_names_the_field(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_expectations(text, "e.json")


def test_setting_takes_precedence_over_the_expectation() -> None:
    packaged = parse_expectations(packaged_expectations(), "x")
    assert max_quarantined_share(packaged) == 0.05
    assert max_quarantined_share(with_quarantined_share(packaged, 0.2)) == 0.2
    assert max_quarantined_share(with_quarantined_share(packaged, 0.0)) == 0.0
    assert max_quarantined_share([]) == 1.0


def test_limits_of_missing_values_follow_the_share_of_unusable_rows(spark: SparkSession) -> None:
    def limits(**settings: Any) -> dict[str, float | None]:
        return {
            each.name: each.max for each in load_expectations(Storage(spark), QualitySettings(**settings))
        }

    assert limits()["missing_user_share"] == 0.05
    half = limits(max_quarantined_share=0.5)
    assert {name: half[name] for name in half if name.endswith("_share") and name != "few_unseen_share"} == {
        "quarantined_share": 0.5,
        "missing_user_share": 0.5,
        "missing_item_share": 0.5,
        "missing_time_share": 0.5,
    }
    assert limits(max_quarantined_share=0.01)["missing_user_share"] == 0.05
    given = limits(max_quarantined_share=0.5, expect_at_most={"missing_user_share": 0.3, "items": 900})
    assert (given["missing_user_share"], given["items"]) == (0.3, 900)
    with pytest.raises(InputError, match="--expect-at-least shops: give one of quarantined_share"):
        load_expectations(Storage(spark), QualitySettings(expect_at_least={"shops": 1}))


def popularity(spark: SparkSession, items: dict[int, int]) -> DataFrame:
    return spark.createDataFrame(list(items.items()), "item_index int, n_interactions long")


@pytest.mark.spark
@pytest.mark.parametrize(
    ("now", "before", "shift"),
    [
        ({0: 2, 1: 6}, {0: 1, 1: 3}, 0.0),  # the same shares of more interactions
        ({0: 5}, {1: 7}, 1.0),
        ({0: 1, 1: 1}, {0: 1}, 0.5),
        ({0: 0}, {0: 3}, None),
    ],
)
def test_popularity_shift_is_half_the_sum_of_differences_of_shares(
    spark: SparkSession, now: dict[int, int], before: dict[int, int], shift: float | None
) -> None:
    assert popularity_shift(popularity(spark, now), popularity(spark, before)) == shift


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_limits_are_inclusive(value: float) -> None:
    assert Expectation("users", min=value, max=value).allows(value)
