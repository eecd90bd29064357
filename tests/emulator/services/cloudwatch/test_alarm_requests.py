"""PutMetricAlarm refuses what CloudWatch refuses (API reference, PutMetricAlarm)."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.app import Emulator
from tests.emulator.validation.clients import refusal

COMMON: dict[str, Any] = {
    "AlarmName": "refused",
    "ComparisonOperator": "GreaterThanThreshold",
    "EvaluationPeriods": 2,
    "Threshold": 1.0,
}
OF_METRIC: dict[str, Any] = {"MetricName": "m", "Namespace": "n", "Period": 60, "Statistic": "Sum"}


def metric(name: str, **members: Any) -> dict[str, Any]:
    stat = {"Metric": {"Namespace": "n", "MetricName": name}, "Period": 60, "Stat": "Sum"}
    return {"Id": name, "ReturnData": False, "MetricStat": stat, **members}


def expression(text: str, **members: Any) -> dict[str, Any]:
    return {"Id": "value", "Expression": text, "ReturnData": True, **members}


@pytest.mark.parametrize("missing", [*OF_METRIC, "Threshold"])
def test_alarm_on_a_metric_needs_each_member(emulator: Emulator, missing: str) -> None:
    request = {name: value for name, value in {**COMMON, **OF_METRIC}.items() if name != missing}
    code, message = refusal(emulator, "cloudwatch", "put_metric_alarm", **request)
    assert code == "ValidationError"
    assert missing in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"DatapointsToAlarm": 3}, "less than or equal to EvaluationPeriods"),
        ({"ExtendedStatistic": "p99"}, "one of Statistic and ExtendedStatistic"),
        ({"TreatMissingData": "notbreaching"}, "TreatMissingData must be one of"),
        ({"Metrics": [metric("a"), expression("a * 1")]}, "Metrics and MetricName"),
    ],
)
def test_members_that_exclude_each_other_are_refused(
    emulator: Emulator, change: dict[str, Any], message: str
) -> None:
    code, found = refusal(emulator, "cloudwatch", "put_metric_alarm", **COMMON, **OF_METRIC, **change)
    assert code == "ValidationError"
    assert message in found


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ([metric("a"), metric("b", ReturnData=True), expression("a + b")], "must return data, and not 2"),
        ([metric("a"), expression("a * 1", ReturnData=False)], "must return data, and not 0"),
        ([metric("a"), metric("a"), expression("a * 1")], "must be unique: a"),
        ([metric("a"), expression("a + b")], "no metric 'b'"),
        ([metric("a", Expression="b"), expression("a * 1")], "one of MetricStat and Expression"),
        ([*(metric(f"m{n}") for n in range(11)), expression("m0 * 1")], "at most 10 metrics"),
    ],
)
def test_queries_that_are_no_alarm_are_refused(
    emulator: Emulator, queries: list[dict[str, Any]], message: str
) -> None:
    _, found = refusal(emulator, "cloudwatch", "put_metric_alarm", **COMMON, Metrics=queries)
    assert message in found
    assert emulator.client("cloudwatch").describe_alarms(AlarmNames=["refused"])["MetricAlarms"] == []


def test_ten_metrics_are_accepted_and_an_update_replaces_all_members(emulator: Emulator) -> None:
    queries = [*(metric(f"m{n}") for n in range(10)), expression("m0 + m9")]
    cloudwatch = emulator.client("cloudwatch")
    common = {**COMMON, "AlarmName": "replaced"}
    cloudwatch.put_metric_alarm(**common, Metrics=queries, AlarmDescription="d", DatapointsToAlarm=1)
    cloudwatch.put_metric_alarm(**common, **OF_METRIC)
    (found,) = cloudwatch.describe_alarms(AlarmNames=["replaced"])["MetricAlarms"]
    assert not any(found.get(name) for name in ("AlarmDescription", "DatapointsToAlarm", "Metrics"))
