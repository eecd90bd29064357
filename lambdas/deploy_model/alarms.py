"""CloudWatch calls of `deploy_model`: the alarms that compare the new fleet of a rollout with the old one.

The stage defines the alarms (components/rollout_alarms.py). A rollout writes its endpoint configs and model
versions into their metrics, whose ids begin with ``new_`` or ``old_``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PREFIXES = ("new_", "old_")
# Members of DescribeAlarms that PutMetricAlarm takes; the alarms are on expressions.
KEPT = (
    *("AlarmName", "AlarmDescription", "ActionsEnabled", "OKActions", "AlarmActions"),
    *("InsufficientDataActions", "EvaluationPeriods", "DatapointsToAlarm", "Threshold"),
)
COMPARING = {"ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching"}
# In ALARM without requests of a fleet: their metrics are filled with 0, or missing. SetAlarmState alone lasts
# for seconds, until the next evaluation (CloudWatch API reference).
WITHDRAWN = {"ComparisonOperator": "LessThanOrEqualToThreshold", "TreatMissingData": "breaching"}
NO_CONFIG = "none"  # no endpoint config: its metrics have no data


@dataclass(frozen=True)
class Fleet:
    """What the metrics of a fleet are found by."""

    config_name: str
    model_version: str


class RolloutAlarms:
    """The alarms of the rollouts."""

    def __init__(self, client: Any, names: Sequence[str]) -> None:
        self._client = client
        self._names = list(names)

    def watch(self, new: Fleet, old: Fleet) -> None:
        """Compare these fleets; an alarm that compares them already keeps its state."""
        changed = set()
        for alarm in self._alarms():
            metrics = _with_fleets(alarm["Metrics"], new, old)
            if metrics != alarm["Metrics"] or _is_withdrawn(alarm):
                self._put(alarm, metrics, COMPARING)
                changed.add(alarm["AlarmName"])
        # An update leaves the state as it was until the next evaluation, and a rollout that starts in ALARM
        # is rolled back.
        for alarm in self._alarms() if changed else ():
            if alarm["AlarmName"] in changed and alarm["StateValue"] == "ALARM":
                self._set_state(alarm, "OK", "A rollout starts.")

    def stop_rollout(self, reason: str) -> None:
        """Roll the rollout in progress back: its first alarm starts, and lasts until `rest` or `watch`.

        SageMaker cannot be told to: an endpoint that is being updated refuses every other call. The alarm
        gets a condition that holds without requests, so that its evaluations keep it in ALARM.

        Raises:
            LookupError: the stage's alarms do not exist.
        """
        alarms = self._alarms()
        if not alarms:
            raise LookupError(f"no alarm of {self._names} exists, so the rollout goes on: run pulumi up")
        alarm, nothing = alarms[0], Fleet(NO_CONFIG, NO_CONFIG)
        if not _is_withdrawn(alarm):
            self._put(alarm, _with_fleets(alarm["Metrics"], nothing, nothing), WITHDRAWN)
            self._set_state(alarm, "ALARM", reason)

    def rest(self) -> None:
        """End the alarm of `stop_rollout`, when the rollback has ended."""
        for alarm in self._alarms():
            if _is_withdrawn(alarm):
                self._put(alarm, alarm["Metrics"], COMPARING)
                self._set_state(alarm, "OK", "The rollback has ended.")

    def _alarms(self) -> list[dict[str, Any]]:
        """All existing alarms in the order of their names: a stage has three, and a page 50."""
        if not self._names:
            return []
        found = self._client.describe_alarms(AlarmNames=self._names, AlarmTypes=["MetricAlarm"])
        by_name = {alarm["AlarmName"]: alarm for alarm in found["MetricAlarms"]}
        return [by_name[name] for name in self._names if name in by_name]

    def _put(
        self, alarm: Mapping[str, Any], metrics: list[dict[str, Any]], condition: Mapping[str, str]
    ) -> None:
        kept = {key: alarm[key] for key in KEPT if key in alarm}
        self._client.put_metric_alarm(**kept, **condition, Metrics=metrics)

    def _set_state(self, alarm: Mapping[str, Any], state: str, reason: str) -> None:
        self._client.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=state, StateReason=reason)


def _is_withdrawn(alarm: Mapping[str, Any]) -> bool:
    return any(alarm.get(key) == value for key, value in WITHDRAWN.items())


def _with_fleets(metrics: Sequence[Mapping[str, Any]], new: Fleet, old: Fleet) -> list[dict[str, Any]]:
    """Queries of an alarm with the dimensions of two fleets."""
    replaced = copy.deepcopy([dict(query) for query in metrics])
    for query in replaced:
        if "MetricStat" not in query or not query["Id"].startswith(PREFIXES):
            continue
        fleet = new if query["Id"].startswith("new_") else old
        values = {"EndpointConfigName": fleet.config_name, "ModelVersion": fleet.model_version}
        for dimension in query["MetricStat"]["Metric"]["Dimensions"]:
            dimension["Value"] = values.get(dimension["Name"], dimension["Value"])
    return replaced
