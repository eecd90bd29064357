"""Alarms that roll a deployment of an endpoint back: the new fleet compared with the fleet that it replaces.

An alarm has metrics of two endpoint configurations, whose names change with each rollout. The caller of
UpdateEndpoint writes them into the alarm before it starts: the ids of the metrics begin with ``new_`` and
``old_``, and their dimensions `EndpointConfigName` and `ModelVersion` are those to replace. An update of an
alarm by Pulumi sets both to the bootstrap configuration until the next rollout, as they are before the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

NAMESPACE = "AWS/SageMaker"
PERIOD_S = 60
# Single failures are no reason to roll back, and fewer requests than these are not judged. More would never
# come where everything fails: the API's circuit breaker stops calling the endpoint after three failures.
MIN_FAILURES = 3  # in a minute
MAX_EXCESS_PERCENT = 5  # more failures than the old fleet has, in percent of the requests
MIN_FOR_P90, MIN_FOR_P99 = 20, 200  # in a minute: with fewer, the percentile is the slowest two or less
MAX_LATENCY_RATIO = 2  # to the old fleet
# Minutes whose metrics may not have arrived. FILL gives them the value 0, so that an alarm on the newest
# minutes alone would stay OK (CloudWatch user guide, metric math, FILL; its workaround is "M out of N").
LATE_PERIODS = 2


@dataclass(frozen=True, kw_only=True)
class AnswerMetrics:
    """Metrics of the API: answers of the model, and those that are invalid, empty or late.

    Attributes:
        namespace: namespace of the metrics.
        answers, bad_answers: names of the metrics; dimensions `EndpointName` and `ModelVersion`.
        unknown_version: `ModelVersion` of answers without a readable one.
    """

    namespace: str
    answers: str
    bad_answers: str
    unknown_version: str


@dataclass(frozen=True, kw_only=True)
class RolloutAlarmsArgs:
    """Arguments of `RolloutAlarms`.

    Attributes:
        endpoint_name, variant_name: dimensions of the metrics.
        config_name, model_version: of the bootstrap model.
        max_latency_ms: p99 model latency that the new fleet may have, where the old one has no traffic; with
            half of it, it is never too slow.
        latency_minutes: minutes in which the new fleet must be too slow, of as many and `LATE_PERIODS`.
        answers: metrics of the API's answers.
        alarm_topic_arn: topic that the alarms notify.
    """

    endpoint_name: str
    variant_name: str
    config_name: pulumi.Input[str]
    model_version: str
    max_latency_ms: int
    latency_minutes: int
    answers: AnswerMetrics
    alarm_topic_arn: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """Definition of an alarm.

    Attributes:
        metrics: id to the namespace, the metric's name, its statistic, and its own dimension.
        parts: id to an expression that others name.
        n_periods: minutes above the threshold that start the alarm, of as many and `LATE_PERIODS`.
    """

    metrics: Mapping[str, tuple[str, str, str, str]]
    expression: str
    above: float
    n_periods: int
    description: str
    parts: Mapping[str, str] = field(default_factory=dict)


class RolloutAlarms(pulumi.ComponentResource):
    """CloudWatch alarms on errors, latency and answers of the fleet that is being deployed.

    Creates: MetricAlarm (3).
    """

    names: list[pulumi.Output[str]]
    arns: list[pulumi.Output[str]]

    def __init__(
        self, name: str, args: RolloutAlarmsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ncf:serving:RolloutAlarms", name, None, opts)
        rules = {
            "errors": _errors(args),
            "latency": _latency(args),
            "answers": _answers(args),
        }
        alarms = [self._alarm(f"{name}-{label}", rule, args) for label, rule in rules.items()]
        self.names = [alarm.name for alarm in alarms]
        self.arns = [alarm.arn for alarm in alarms]
        self.register_outputs({})

    def _alarm(self, name: str, rule: _Rule, args: RolloutAlarmsArgs) -> aws.cloudwatch.MetricAlarm:
        return aws.cloudwatch.MetricAlarm(
            name,
            alarm_description=rule.description,
            metric_queries=[
                *(_query(each, metric, args) for each, metric in rule.metrics.items()),
                *(
                    aws.cloudwatch.MetricAlarmMetricQueryArgs(
                        id=each, expression=text, label=each, return_data=False
                    )
                    for each, text in rule.parts.items()
                ),
                aws.cloudwatch.MetricAlarmMetricQueryArgs(
                    id="value", expression=rule.expression, label=name, return_data=True
                ),
            ],
            comparison_operator="GreaterThanThreshold",
            threshold=rule.above,
            evaluation_periods=rule.n_periods + LATE_PERIODS,
            datapoints_to_alarm=rule.n_periods,
            treat_missing_data="notBreaching",
            alarm_actions=[args.alarm_topic_arn],
            ok_actions=[args.alarm_topic_arn],
            opts=pulumi.ResourceOptions(parent=self),
        )


def _query(
    each: str, metric: tuple[str, str, str, str], args: RolloutAlarmsArgs
) -> aws.cloudwatch.MetricAlarmMetricQueryArgs:
    namespace, name, statistic, own = metric
    dimensions: dict[str, pulumi.Input[str]] = {"EndpointName": args.endpoint_name}
    if own == "EndpointConfigName":
        dimensions |= {"VariantName": args.variant_name, own: args.config_name}
    else:
        is_unknown = each.startswith("unknown_")
        dimensions[own] = args.answers.unknown_version if is_unknown else args.model_version
    return aws.cloudwatch.MetricAlarmMetricQueryArgs(
        id=each,
        return_data=False,
        metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
            namespace=namespace,
            metric_name=name,
            dimensions=dimensions,
            period=PERIOD_S,
            stat=statistic,
        ),
    )


def _of_fleets(**metrics: tuple[str, str]) -> dict[str, tuple[str, str, str, str]]:
    """Metrics of both fleets: name of the id to metric and statistic."""
    return {
        f"{fleet}_{each}": (NAMESPACE, metric, statistic, "EndpointConfigName")
        for fleet in ("new", "old")
        for each, (metric, statistic) in metrics.items()
    }


def _total(*ids: str) -> str:
    """Sum of metrics; CloudWatch's rules for missing values do not decide, because each is filled."""
    return " + ".join(f"FILL({each}, 0)" for each in ids)


def _excess(bad: str, requests: str, old_bad: str, old_requests: str) -> str:
    """Percent of the new fleet's requests that are bad, above the old fleet's; 0 if they are too few."""
    # A division by zero, without requests of the old fleet, has no data point.
    old_share = f"FILL(100 * ({old_bad}) / ({old_requests}), 0)"
    return f"IF({bad} >= {MIN_FAILURES}, 100 * ({bad}) / ({requests}) - {old_share}, 0)"


def _errors(args: RolloutAlarmsArgs) -> _Rule:
    """Invocations without a valid response, except those that the model refuses (4xx).

    `Invocation5XXErrors` does not count containers that close the connection or do not respond.
    """
    return _Rule(
        metrics=_of_fleets(
            requests=("Invocations", "Sum"),
            errors=("InvocationModelErrors", "Sum"),
            refused=("Invocation4XXErrors", "Sum"),
        ),
        expression=_excess(
            f"{_total('new_errors')} - {_total('new_refused')}",
            _total("new_requests"),
            f"{_total('old_errors')} - {_total('old_refused')}",
            _total("old_requests"),
        ),
        above=MAX_EXCESS_PERCENT,
        n_periods=1,
        description=f"{args.endpoint_name}: the model being deployed fails more often than the one that it "
        "replaces; the rollout is rolled back.",
    )


def _latency(args: RolloutAlarmsArgs) -> _Rule:
    """Percentile of the new fleet's latency, divided by the latency that it may have."""
    limit_us = args.max_latency_ms * 1000  # the metric is in microseconds
    least_us = limit_us // 2

    def ratio(percentile: str) -> str:
        usual = f"{MAX_LATENCY_RATIO} * FILL(old_{percentile}, 0)"
        of_old = f"IF({usual} > {least_us}, {usual}, {least_us})"
        return f"new_{percentile} / IF(FILL(old_requests, 0) >= {MIN_FOR_P90}, {of_old}, {limit_us})"

    return _Rule(
        metrics=_of_fleets(
            requests=("Invocations", "Sum"), p90=("ModelLatency", "p90"), p99=("ModelLatency", "p99")
        ),
        expression=f"IF(FILL(new_requests, 0) >= {MIN_FOR_P99}, {ratio('p99')}, "
        f"IF(FILL(new_requests, 0) >= {MIN_FOR_P90}, {ratio('p90')}, 0))",
        above=1,
        n_periods=args.latency_minutes,
        description=f"{args.endpoint_name}: the model being deployed is slower than the one that it "
        "replaces; the rollout is rolled back.",
    )


def _answers(args: RolloutAlarmsArgs) -> _Rule:
    """Answers that the API refuses, empty ones, and those that do not come in time.

    Nothing in a late or unreadable answer says which fleet gave it: InvokeEndpoint returns the name of the
    variant, which both fleets have. But SageMaker counts the requests of each fleet. Those of the new fleet
    that neither failed nor led to an answer with its version are the unknown answers of the new fleet, at
    most all of them; the others are the old fleet's.
    """
    metrics = args.answers

    def of(name: str) -> tuple[str, str, str, str]:
        return metrics.namespace, name, "Sum", "ModelVersion"

    unanswered = f"{_total('new_requests')} - {_total('new_errors')} - {_total('new_answers')}"
    return _Rule(
        metrics={
            "new_answers": of(metrics.answers),
            "new_bad": of(metrics.bad_answers),
            "old_answers": of(metrics.answers),
            "old_bad": of(metrics.bad_answers),
            "unknown_bad": of(metrics.bad_answers),
            "new_requests": (NAMESPACE, "Invocations", "Sum", "EndpointConfigName"),
            "new_errors": (NAMESPACE, "InvocationModelErrors", "Sum", "EndpointConfigName"),
        },
        parts={
            "unanswered": unanswered,
            "unknown": _total("unknown_bad"),
            "of_new": "IF(unanswered < unknown, IF(unanswered > 0, unanswered, 0), unknown)",
            "of_old": "unknown - of_new",
        },
        expression=_excess(
            f"{_total('new_bad')} + of_new",
            f"{_total('new_answers')} + of_new",
            f"{_total('old_bad')} + of_old",
            f"{_total('old_answers')} + of_old",
        ),
        above=MAX_EXCESS_PERCENT,
        n_periods=1,
        description=f"{args.endpoint_name}: answers of the model being deployed are invalid, empty or late; "
        "the rollout is rolled back.",
    )
