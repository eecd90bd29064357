"""CloudWatch: keeps the metrics of services and clients, evaluates alarms and runs their actions."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.models import Alarm, CloudWatchBackend, MetricAggregatedDatum

from emulator import moto_state
from emulator.authorization import policies
from emulator.host import Host
from emulator.metrics import Metric, statistic
from emulator.moto_patches import MotoPatches
from emulator.provider import EmitEvent, Provider
from emulator.services.cloudwatch.alarms import AlarmRule
from emulator.services.cloudwatch.expressions import ExpressionError

EVENT = "CloudWatch Alarm State Change"
SERVICE = "cloudwatch.amazonaws.com"
# CloudWatch evaluates standard alarms every minute.
INTERVAL_S = 1.0
# A state set with SetAlarmState lasts until the next evaluation, "often within seconds" (API reference).
SET_STATE_S = 10.0
log = logging.getLogger("emulator.services.cloudwatch")


class CloudWatchProvider(Provider):
    """Metrics and alarms; moto stores alarms, dashboards and the data of `PutMetricData`.

    Args:
        interval_s: time between evaluations of the alarms, which also are evaluated when they are described.
    """

    def __init__(self, host: Host, emit: EmitEvent, *, interval_s: float = INTERVAL_S) -> None:
        self._host = host
        self._emit = emit
        self._metrics = host.metrics
        self._rules: dict[int, tuple[Alarm, AlarmRule]] = {}  # by id: an alarm that is put again is another
        self._held_until: dict[str, float] = {}  # by ARN
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._patches = MotoPatches()
        replace = self._patches.replace
        replace(CloudWatchBackend, "put_metric_data", self._make_put_metric_data)
        replace(CloudWatchBackend, "put_metric_alarm", self._make_put_alarm)
        replace(CloudWatchBackend, "set_alarm_state", self._make_set_state)
        for name in ("describe_alarms", "get_alarms_by_alarm_names", "get_alarms_by_state_value"):
            replace(CloudWatchBackend, name, self._make_describe)
        replace(CloudWatchBackend, "aws_metric_data", self._make_service_metrics)
        self._thread = threading.Thread(
            target=self._run, args=(interval_s,), name="cloudwatch-alarms", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop the evaluations and undo the patches of moto."""
        self._closed.set()
        self._thread.join()
        self._patches.undo()

    # -- moto's operations ------------------------------------------------------------------------
    def _make_put_metric_data(self, original: Callable[..., None]) -> Callable[..., None]:
        def put_metric_data(backend: Any, namespace: str, metric_data: list[dict[str, Any]]) -> None:
            original(backend, namespace, metric_data)
            for datum in metric_data:
                dimensions = {each["Name"]: each["Value"] for each in datum.get("Dimensions", [])}
                metric = Metric.of(backend.region_name, namespace, datum["MetricName"], dimensions)
                self._metrics.add(metric, _values(datum), _timestamp(datum.get("Timestamp")))

        return put_metric_data

    def _make_put_alarm(self, original: Callable[..., Alarm]) -> Callable[..., Alarm]:
        def put_metric_alarm(backend: Any, *args: Any, **kwargs: Any) -> Alarm:
            known = backend.alarms.get(kwargs.get("name"))
            alarm = original(backend, *args, **kwargs)
            if alarm.rule is None:
                try:
                    AlarmRule(alarm)
                except ExpressionError as error:
                    backend.alarms.pop(alarm.name)
                    raise ValidationError(str(error)) from error
            if known is not None:  # an update keeps the state until the next evaluation
                alarm.state_value, alarm.state_reason = known.state_value, known.state_reason
                alarm.history = known.history
            return alarm

        return put_metric_alarm

    def _make_set_state(self, original: Callable[..., None]) -> Callable[..., None]:
        def set_alarm_state(backend: Any, alarm_name: str, *args: Any, **kwargs: Any) -> None:
            alarm = backend.alarms.get(alarm_name)
            before = alarm.state_value if alarm else ""
            original(backend, alarm_name, *args, **kwargs)
            self._held_until[alarm.alarm_arn] = self._metrics.now() + SET_STATE_S
            if alarm.state_value != before:
                self._act(alarm, before)

        return set_alarm_state

    def _make_describe(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def describe(backend: Any, *args: Any, **kwargs: Any) -> Any:
            self.evaluate(backend)
            return original(backend, *args, **kwargs)

        return describe

    def _make_service_metrics(self, original: property) -> property:
        """Metrics of services, for ListMetrics, GetMetricData and GetMetricStatistics."""
        return property(lambda backend: [*original.__get__(backend), *self._service_metrics(backend)])

    def _service_metrics(self, backend: Any) -> list[MetricAggregatedDatum]:
        # moto has the metrics that a client has put.
        of_clients = {(each.namespace, each.name) for each in backend.metric_data}
        return [
            MetricAggregatedDatum(
                namespace=metric.namespace,
                name=metric.name,
                min_stat=min(values),
                max_stat=max(values),
                sample_count=len(values),
                sum_stat=statistic("Sum", values) or 0.0,
                dimensions=[{"Name": name, "Value": value} for name, value in sorted(metric.dimensions)],
                timestamp=datetime.fromtimestamp(start, UTC).replace(tzinfo=None),
            )
            for metric, start, values in self._metrics.minutes(backend.region_name)
            if values and (metric.namespace, metric.name) not in of_clients
        ]

    # -- evaluation -------------------------------------------------------------------------------
    def _run(self, interval_s: float) -> None:
        while not self._closed.wait(interval_s):
            for backend in moto_state.regional_backends("cloudwatch").values():
                try:
                    self.evaluate(backend)
                except Exception:
                    if not self._host.closing:
                        log.exception("evaluation of alarms")

    def evaluate(self, backend: Any) -> None:
        """Evaluate all metric alarms of a region now, and run the actions of those whose state changes."""
        with self._lock:
            alarms = [alarm for alarm in list(backend.alarms.values()) if alarm.rule is None]
            if not alarms:
                return
            self._sample_queues(backend.region_name)
            for alarm in alarms:
                self._evaluate(alarm)

    def _evaluate(self, alarm: Alarm) -> None:
        if self._held_until.get(alarm.alarm_arn, 0.0) > self._metrics.now():
            return
        known = self._rules.get(id(alarm))
        if known is None:
            known = self._rules[id(alarm)] = (alarm, AlarmRule(alarm))
        try:
            found = known[1].evaluate(self._metrics)
        except ExpressionError as error:
            log.error("alarm %s: %s", alarm.name, error)
            return
        if found.state is not None and found.state != alarm.state_value:
            before = alarm.state_value
            alarm.update_state(found.reason, "{}", found.state)
            log.info("alarm %s: %s -> %s: %s", alarm.name, before, found.state, found.reason)
            self._act(alarm, before)

    def _sample_queues(self, region: str) -> None:
        """Number of visible messages of each queue (SQS developer guide, available CloudWatch metrics)."""
        for queue in list(getattr(moto_state.regional_backends("sqs").get(region), "queues", {}).values()):
            metric = Metric.of(
                region, "AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": queue.name}
            )
            self._metrics.put_gauge(metric, float(queue.approximate_number_of_messages))

    # -- actions ----------------------------------------------------------------------------------
    def _act(self, alarm: Alarm, before: str) -> None:
        """Send the event of a new state and run its actions; failures are logged."""
        detail = {
            "alarmName": alarm.name,
            "configuration": {"description": alarm.description or ""},
            "previousState": {"value": before},
            "state": {"value": alarm.state_value, "reason": alarm.state_reason},
        }
        try:
            self._emit("aws.cloudwatch", EVENT, detail, [alarm.alarm_arn], alarm.region_name)
        except LookupError:  # an emulator without EventBridge
            log.debug("no event of alarm %s", alarm.name)
        if not alarm.actions_enabled:
            return
        actions = {
            "ALARM": alarm.alarm_actions,
            "OK": alarm.ok_actions,
            "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
        }[alarm.state_value]
        for arn in actions or []:
            try:
                self._notify(arn, alarm, before)
            except Exception as error:
                log.error("alarm %s: action %s: %s", alarm.name, arn, error)

    def _notify(self, arn: str, alarm: Alarm, before: str) -> None:
        """Publish a notification, if the topic's policy allows CloudWatch to.

        Raises:
            PermissionError: it does not.
            NotImplementedError: the action is no topic.
        """
        if arn.split(":")[2] != "sns":
            raise NotImplementedError("the emulator runs actions on SNS topics only")
        client = self._host.client("sns", arn.split(":")[3])
        policy = client.get_topic_attributes(TopicArn=arn)["Attributes"].get("Policy", "{}")
        context = {"aws:SourceArn": alarm.alarm_arn, "aws:SourceAccount": self._host.account_id}
        if not policies.allows([policy], policies.Call("sns:Publish", arn, SERVICE, context)):
            raise PermissionError(f"the policy of {arn} does not allow {SERVICE} to publish")
        subject = f'{alarm.state_value}: "{alarm.name}" in {alarm.region_name}'
        client.publish(TopicArn=arn, Subject=subject[:100], Message=json.dumps(_message(alarm, before)))


def _message(alarm: Alarm, before: str) -> Mapping[str, Any]:
    """Notification of a change of state."""
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": alarm.alarm_arn.split(":")[4],
        "AlarmConfigurationUpdatedTimestamp": _iso(alarm.configuration_updated_timestamp),
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": _iso(alarm.state_updated_timestamp),
        "Region": alarm.region_name,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before,
    }


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


def _timestamp(value: Any) -> float | None:
    """Time of a datum, which moto has as text or as a time without a zone."""
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime):
        return float(moment)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _values(datum: Mapping[str, Any]) -> list[float]:
    """Values of a datum; a set of statistics is two values with its extremes, and the others between."""
    if values := datum.get("Values"):
        counts = datum.get("Counts") or [1] * len(values)
        return [float(v) for v, n in zip(values, counts, strict=True) for _ in range(int(float(n)))]
    if statistics := datum.get("StatisticValues"):
        low, high = float(statistics["Minimum"]), float(statistics["Maximum"])
        total, count = float(statistics["Sum"]), int(float(statistics["SampleCount"]))
        if count <= 1:
            return [total]
        rest = (total - low - high) / (count - 2) if count > 2 else 0.0
        return [low, high, *[rest] * (count - 2)]
    return [float(datum.get("Value", 0))]
