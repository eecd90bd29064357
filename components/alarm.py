"""The SNS topic that alarms notify, and CloudWatch metric alarms that notify it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.iam import document

# Services that publish to the topic and send `aws:SourceAccount`.
PUBLISHERS = ("budgets.amazonaws.com", "cloudwatch.amazonaws.com")
# EventBridge does not support conditions in the topic's policy (EventBridge user guide, resource-based
# policies, Amazon SNS).
EVENTS = "events.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class AlarmTopicArgs:
    """Arguments of `AlarmTopic`.

    Attributes:
        kms_key_arn: encrypts messages; the key's policy must allow `PUBLISHERS` and `EVENTS` to use it.
        account_id: the account whose alarms, rules and budgets may publish.
        email: the subscribed address; its owner must confirm the subscription once.
    """

    kms_key_arn: pulumi.Input[str]
    account_id: pulumi.Input[str]
    email: str

    def __post_init__(self) -> None:
        if "@" not in self.email:
            raise ValueError(f"email {self.email!r}: write an address, such as 'ml-platform@example.com'")


class AlarmTopic(pulumi.ComponentResource):
    """SNS topic for alarms, failure events and budget notifications: KMS encryption, TLS only.

    Creates: Topic, TopicPolicy, TopicSubscription.
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: AlarmTopicArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:operations:AlarmTopic", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        topic = aws.sns.Topic(name, kms_master_key_id=args.kms_key_arn, opts=child)
        topic_policy = aws.sns.TopicPolicy(
            f"{name}-policy",
            arn=topic.arn,
            policy=document(
                [
                    {
                        "Sid": "PublishersOfTheAccount",
                        "Effect": "Allow",
                        "Principal": {"Service": sorted(PUBLISHERS)},
                        "Action": "sns:Publish",
                        "Resource": topic.arn,
                        "Condition": {"StringEquals": {"aws:SourceAccount": args.account_id}},
                    },
                    {
                        "Sid": "EventRules",
                        "Effect": "Allow",
                        "Principal": {"Service": EVENTS},
                        "Action": "sns:Publish",
                        "Resource": topic.arn,
                    },
                    {
                        "Sid": "TlsOnly",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "sns:Publish",
                        "Resource": topic.arn,
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    },
                ]
            ),
            opts=child,
        )
        aws.sns.TopicSubscription(
            f"{name}-email", topic=topic.arn, protocol="email", endpoint=args.email, opts=child
        )
        self.arn = pulumi.Output.all(topic.arn, topic_policy.id).apply(lambda values: values[0])
        self.register_outputs({"arn": self.arn})


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Condition of a CloudWatch metric alarm.

    Attributes:
        namespace, metric, dimensions: the metric.
        statistic: a CloudWatch statistic, standard (``Sum``) or extended (``p99``).
        above: the alarm goes into ALARM when the statistic exceeds this value, in the metric's unit.
        period_s: length of one data point.
        n_periods: number of consecutive data points that must exceed `above`.
        missing: what a period without data counts as: above the threshold (``breaching``), not above it, or
            neither, so that the alarm keeps its state (``ignore``).
        description: the first step for the person on call.
    """

    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistic: str
    above: float
    period_s: int = 60
    n_periods: int = 1
    missing: Literal["breaching", "ignore", "notBreaching"] = "notBreaching"
    description: str


@dataclass(frozen=True, kw_only=True)
class ExpressionThreshold:
    """Condition of a CloudWatch alarm on an expression of several metrics of one namespace.

    Attributes:
        namespace, dimensions: of the metrics.
        metrics: name in the expression to the metric and its statistic.
        expression: CloudWatch metric math, such as ``IF(failures >= 3, failures / requests, 0)``.
        above: the alarm goes into ALARM when the expression exceeds this value.
        period_s: length of one data point.
        n_periods: number of consecutive data points that must exceed `above`.
        description: the first step for the person on call.
    """

    namespace: str
    dimensions: Mapping[str, pulumi.Input[str]]
    metrics: Mapping[str, tuple[str, str]]
    expression: str
    above: float
    period_s: int = 60
    n_periods: int = 1
    description: str


def expression_alarm(
    name: str, threshold: ExpressionThreshold, topic_arn: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> aws.cloudwatch.MetricAlarm:
    """As `metric_alarm`, for an expression."""
    metrics = [
        aws.cloudwatch.MetricAlarmMetricQueryArgs(
            id=each,
            return_data=False,
            metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                namespace=threshold.namespace,
                metric_name=metric,
                dimensions=dict(threshold.dimensions),
                period=threshold.period_s,
                stat=statistic,
            ),
        )
        for each, (metric, statistic) in threshold.metrics.items()
    ]
    expression = aws.cloudwatch.MetricAlarmMetricQueryArgs(
        id="value", expression=threshold.expression, label=name, return_data=True
    )
    return aws.cloudwatch.MetricAlarm(
        name,
        alarm_description=threshold.description,
        metric_queries=[*metrics, expression],
        comparison_operator="GreaterThanThreshold",
        threshold=threshold.above,
        evaluation_periods=threshold.n_periods,
        treat_missing_data="notBreaching",
        alarm_actions=[topic_arn],
        ok_actions=[topic_arn],
        opts=opts,
    )


def metric_alarm(
    name: str, threshold: Threshold, topic_arn: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> aws.cloudwatch.MetricAlarm:
    """CloudWatch alarm that notifies the topic when it starts and when it ends.

    Missing data does not trigger it by default: metrics of failures have no data points while nothing fails.
    """
    is_percentile = threshold.statistic.startswith("p")
    return aws.cloudwatch.MetricAlarm(
        name,
        alarm_description=threshold.description,
        namespace=threshold.namespace,
        metric_name=threshold.metric,
        dimensions=dict(threshold.dimensions),
        comparison_operator="GreaterThanThreshold",
        threshold=threshold.above,
        period=threshold.period_s,
        evaluation_periods=threshold.n_periods,
        treat_missing_data=threshold.missing,
        alarm_actions=[topic_arn],
        ok_actions=[topic_arn],
        statistic=None if is_percentile else threshold.statistic,
        extended_statistic=threshold.statistic if is_percentile else None,
        opts=opts,
    )
