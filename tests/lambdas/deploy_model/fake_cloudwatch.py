"""Stateful fake of the CloudWatch operations that `deploy_model` calls."""

from __future__ import annotations

import copy
import operator
from typing import Any

NOT_RETURNED = ("StateValue", "AlarmArn")  # members that PutMetricAlarm does not take


def query(id_: str, **dimensions: str) -> dict[str, Any]:
    """Metric of an alarm."""
    named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "Invocations", "Dimensions": named}
    return {"Id": id_, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}, "ReturnData": False}


class FakeCloudWatch:
    """Alarms on the fleets of a rollout."""

    def __init__(self, *names: str) -> None:
        self.alarms: dict[str, dict[str, Any]] = {
            name: {
                "AlarmName": name,
                "AlarmArn": f"arn:aws:cloudwatch:ap-northeast-2:123456789012:alarm:{name}",
                "AlarmActions": ["arn:aws:sns:ap-northeast-2:123456789012:alarms"],
                "EvaluationPeriods": 1,
                "Threshold": 5.0,
                "ComparisonOperator": "GreaterThanThreshold",
                "TreatMissingData": "notBreaching",
                "StateValue": "OK",
                "Metrics": [
                    query("new_requests", EndpointName="ncf-prod", EndpointConfigName="bootstrap-config"),
                    query("old_requests", EndpointName="ncf-prod", EndpointConfigName="bootstrap-config"),
                    query("new_answers", EndpointName="ncf-prod", ModelVersion="bootstrap"),
                    query("unknown_bad", EndpointName="ncf-prod", ModelVersion="unknown"),
                    {"Id": "value", "Expression": "new_requests - old_requests", "ReturnData": True},
                ],
            }
            for name in names
        }

    def watched(self, name: str, id_: str) -> dict[str, str]:
        """Dimensions of one of an alarm's metrics."""
        (found,) = (each for each in self.alarms[name]["Metrics"] if each["Id"] == id_)
        return {each["Name"]: each["Value"] for each in found["MetricStat"]["Metric"]["Dimensions"]}

    def states(self) -> set[str]:
        return {alarm["StateValue"] for alarm in self.alarms.values()}

    def evaluate(self, name: str, value: float | None) -> None:
        """Set the state of an alarm, as its next evaluation does."""
        alarm = self.alarms[name]
        compare = {"GreaterThanThreshold": operator.gt, "LessThanOrEqualToThreshold": operator.le}
        breaches = compare[alarm["ComparisonOperator"]]
        is_breached = (
            alarm["TreatMissingData"] == "breaching" if value is None else breaches(value, alarm["Threshold"])
        )
        alarm["StateValue"] = "ALARM" if is_breached else "OK"

    def describe_alarms(self, *, AlarmNames: list[str], AlarmTypes: list[str]) -> dict[str, Any]:  # noqa: N803
        assert AlarmTypes == ["MetricAlarm"]
        found = [name for name in sorted(AlarmNames) if name in self.alarms]
        return {"MetricAlarms": [copy.deepcopy(self.alarms[name]) for name in found]}

    def put_metric_alarm(self, **request: Any) -> None:
        assert not set(NOT_RETURNED) & set(request)
        before = self.alarms[request["AlarmName"]]
        self.alarms[request["AlarmName"]] = {**request, **{key: before[key] for key in NOT_RETURNED}}

    def set_alarm_state(self, *, AlarmName: str, StateValue: str, StateReason: str) -> None:  # noqa: N803
        assert StateReason
        self.alarms[AlarmName]["StateValue"] = StateValue
