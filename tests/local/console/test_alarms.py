"""Alarms on the console."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import boto3
from moto import mock_aws

from local.console.alarms import alarms


@dataclass(frozen=True)
class SourceOf:
    stage: str

    def client(self, service: str) -> Any:
        return boto3.client(
            service, region_name="ap-northeast-2", aws_access_key_id="test", aws_secret_access_key="test"
        )


def test_alarms_of_the_stage_that_are_not_ok_are_shown_with_their_reason() -> None:
    with mock_aws():
        source = SourceOf("dev")
        cloudwatch = source.client("cloudwatch")
        for name in ("ncf-dev-a-1", "ncf-dev-b-2", "ncf-prod-c-3"):
            cloudwatch.put_metric_alarm(
                AlarmName=name,
                MetricName="m",
                Namespace="NCF",
                Statistic="Sum",
                Period=60,
                Threshold=1,
                EvaluationPeriods=1,
                ComparisonOperator="GreaterThanThreshold",
                AlarmDescription="Look there.",
            )
        assert alarms(source) == {"count": 2, "active": []}  # type: ignore[arg-type]
        for name in ("ncf-dev-b-2", "ncf-prod-c-3"):
            cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="3 > 1")
        (shown,) = alarms(source)["active"]  # type: ignore[arg-type]
    assert (shown["name"], shown["state"], shown["reason"]) == ("b-2", "ALARM", "3 > 1")
    assert shown["description"] == "Look there."
