"""Alarms of rollouts: when they roll back, evaluated as CloudWatch evaluates their expressions."""

from __future__ import annotations

import re
from typing import Any

import pulumi
import pytest

from components.rollout_alarms import AnswerMetrics, RolloutAlarms, RolloutAlarmsArgs
from emulator.services.cloudwatch.expressions import Expression
from tests import pulumi_engine
from tests.pulumi_engine import RecordedResource, Recording

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
TOPIC_ARN = "arn:aws:sns:ap-northeast-2:123456789012:alarms"


def run(**changes: Any) -> Recording:
    args = RolloutAlarmsArgs(
        **{
            "endpoint_name": "ncf-prod",
            "variant_name": "AllTraffic",
            "config_name": "endpoint-config-5f0c1e2",
            "model_version": "bootstrap",
            "max_latency_ms": 300,
            "latency_minutes": 3,
            "answers": AnswerMetrics(
                namespace="NCF", answers="Answers", bad_answers="BadAnswers", unknown_version="unknown"
            ),
            "alarm_topic_arn": TOPIC_ARN,
            **changes,
        }
    )

    def program() -> dict[str, Any]:
        alarms = RolloutAlarms("rollout", args)
        return {"names": pulumi.Output.all(*alarms.names)}

    return pulumi_engine.run(program)


@pytest.fixture(scope="module")
def done() -> Recording:
    return run()


def alarm(done: Recording, label: str) -> RecordedResource:
    return done.one(ALARM, f"rollout-{label}")


def rolls_back(found: RecordedResource, **values: float) -> bool:
    """Whether the values of one minute set the alarm to ALARM; metrics without a value have no data."""
    queries = found.inputs["metricQueries"]
    metrics = {query["id"] for query in queries if "metric" in query}
    assert values.keys() <= metrics
    known: dict[str, float | None] = {each: values.get(each) for each in metrics}
    for query in queries:
        if "expression" in query:
            known[query["id"]] = Expression(query["expression"]).value(known)
    result = known["value"]
    return result is not None and result > found.inputs["threshold"]


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        ((1, 100), (0, 900), False),  # one failure among many requests
        ((2, 2), (0, 900), False),  # too few requests
        ((3, 3), (0, 900), True),  # everything fails
        ((100, 1000), (0, 9000), True),
        ((4, 100), (0, 900), False),  # 4 percent more
        ((6, 100), (0, 900), True),  # 6 percent more
        ((100, 1000), (900, 9000), False),  # both fail alike
        ((200, 1000), (900, 9000), True),
        ((0, 1000), (900, 9000), False),  # the repair of a model that fails
        ((3, 10), None, True),  # all traffic at once: the old fleet has none
    ],
)
def test_errors_are_compared_with_the_old_fleet(
    done: Recording, new: tuple[int, int], old: tuple[int, int] | None, expected: bool
) -> None:
    values = dict(zip(("new_errors", "new_requests"), new, strict=True)) | {"new_refused": 0}
    if old is not None:
        values |= dict(zip(("old_errors", "old_requests"), old, strict=True)) | {"old_refused": 0}
    assert rolls_back(alarm(done, "errors"), **values) is expected


def test_requests_that_the_model_refuses_are_no_errors(done: Recording) -> None:
    assert not rolls_back(alarm(done, "errors"), new_errors=50, new_refused=50, new_requests=100)


def test_fleet_without_requests_is_not_judged(done: Recording) -> None:
    for label in ("errors", "latency", "answers"):
        assert not rolls_back(alarm(done, label))


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        ((19, 900, 900), (10, 20), False),  # too few requests
        ((20, 160, 900), (10, 20), True),
        ((20, 140, 900), (10, 20), False),  # half of the limit is never too slow; p99 of 20 is their maximum
        ((200, 20, 160), (10, 20), True),  # 8 times slower
        ((200, 20, 140), (10, 20), False),
        ((200, 20, 350), (10, 200), False),  # less than twice as slow
        ((200, 20, 450), (10, 200), True),
        ((200, 20, 310), None, True),  # all traffic at once: the limit
        ((200, 20, 290), None, False),
    ],
)
def test_latency_is_compared_with_the_old_fleet(
    done: Recording, new: tuple[int, int, int], old: tuple[int, int] | None, expected: bool
) -> None:
    n, p90, p99 = new
    values = {"new_requests": n, "new_p90": p90 * 1000, "new_p99": p99 * 1000}
    if old is not None:
        values |= {"old_requests": 1000, "old_p90": old[0] * 1000, "old_p99": old[1] * 1000}
    assert rolls_back(alarm(done, "latency"), **values) is expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"new_answers": 100, "new_bad": 1}, False),
        ({"new_answers": 100, "new_bad": 10}, True),
        ({"new_answers": 100, "new_bad": 10, "old_answers": 900, "old_bad": 90}, False),
        # Answers without a version: those of the new fleet are its requests without an answer.
        ({"unknown_bad": 3, "old_answers": 900, "new_requests": 3}, True),
        ({"unknown_bad": 9, "old_answers": 891, "new_answers": 100, "new_requests": 100}, False),
        ({"unknown_bad": 9, "old_answers": 900, "new_answers": 91, "new_requests": 100}, True),
        ({"unknown_bad": 9, "old_answers": 895, "new_answers": 96, "new_requests": 100}, False),
        ({"unknown_bad": 100, "old_answers": 810, "new_answers": 90, "new_requests": 100}, False),  # alike
        ({"unknown_bad": 110, "old_answers": 810, "new_answers": 80, "new_requests": 100}, True),
        # Requests that failed are errors, and those of other clients of the endpoint lead to no answer.
        ({"unknown_bad": 3, "old_answers": 900, "new_requests": 3, "new_errors": 3}, False),
        ({"unknown_bad": 0, "new_answers": 90, "new_requests": 500}, False),
        # SageMaker's metrics come later: until then, unknown answers are the old fleet's.
        ({"unknown_bad": 3, "old_answers": 900}, False),
        ({"new_answers": 2, "new_bad": 2}, False),
    ],
)
def test_invalid_and_empty_answers_are_compared_with_the_old_model(
    done: Recording, values: dict[str, float], expected: bool
) -> None:
    assert rolls_back(alarm(done, "answers"), **values) is expected


def test_all_alarms_notify(done: Recording) -> None:
    for each in done.of(ALARM):
        assert each.inputs["alarmActions"] == each.inputs["okActions"] == [TOPIC_ARN]


@pytest.mark.parametrize(("label", "minutes"), [("errors", 1), ("latency", 3), ("answers", 1)])
def test_minutes_whose_metrics_are_late_do_not_end_an_alarm(
    done: Recording, label: str, minutes: int
) -> None:
    inputs = alarm(done, label).inputs
    assert (inputs["datapointsToAlarm"], inputs["evaluationPeriods"]) == (minutes, minutes + 2)


def test_no_metric_counts_on_the_rules_for_missing_values(done: Recording) -> None:
    for each in done.of(ALARM):
        queries = each.inputs["metricQueries"]
        text = " ".join(query["expression"] for query in queries if "expression" in query)
        # The latency of a fleet exists when its requests do, which is asked first.
        metrics = {query["id"] for query in queries if "metric" in query} - {"new_p90", "new_p99"}
        for name in metrics:
            assert len(re.findall(rf"\b{name}\b", text)) == text.count(f"FILL({name}, 0)") > 0, name


def test_alarm_has_at_most_10_metrics(done: Recording) -> None:
    # CloudWatch user guide, "Create an alarm based on a metric math expression"
    for each in done.of(ALARM):
        assert sum("metric" in query for query in each.inputs["metricQueries"]) <= 10
