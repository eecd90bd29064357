"""SQS dead-letter queue with a CloudWatch alarm on visible messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from components.alarm import Threshold, metric_alarm
from components.iam import Allow, document

RETENTION_S = 14 * 24 * 3600  # maximum of SQS


@dataclass(frozen=True, kw_only=True)
class DeadLetterQueueArgs:
    """Arguments of `DeadLetterQueue`.

    Attributes:
        alarm_topic_arn: topic that the alarm notifies.
        contents: description of the messages, for the alarm's text.
        senders: service principals that the queue's policy allows to send, each with its `aws:SourceArn`.
    """

    alarm_topic_arn: pulumi.Input[str]
    contents: str
    senders: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


class DeadLetterQueue(pulumi.ComponentResource):
    """SQS queue for undelivered events: SSE-SQS encryption, TLS only, an alarm on the first visible message.

    Creates: Queue, QueuePolicy, MetricAlarm.
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    url: pulumi.Output[str]

    def __init__(
        self, name: str, args: DeadLetterQueueArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ncf:operations:DeadLetterQueue", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        queue = aws.sqs.Queue(
            name, message_retention_seconds=RETENTION_S, sqs_managed_sse_enabled=True, opts=child
        )
        queue_policy = aws.sqs.QueuePolicy(
            f"{name}-policy", queue_url=queue.url, policy=_policy(queue.arn, args.senders), opts=child
        )
        metric_alarm(
            f"{name}-alarm",
            Threshold(
                namespace="AWS/SQS",
                metric="ApproximateNumberOfMessagesVisible",
                dimensions={"QueueName": queue.name},
                statistic="Maximum",
                above=0,
                description=f"{args.contents}: read the message, correct the cause, send the event again.",
            ),
            args.alarm_topic_arn,
            child,
        )
        self.name, self.url = queue.name, queue.url
        self.arn = pulumi.Output.all(queue.arn, queue_policy.id).apply(lambda values: values[0])
        self.register_outputs({"name": self.name, "arn": self.arn})

    def grant_send(self) -> Allow:
        """Permission to send messages to this queue; attach it to the sender's role."""
        return Allow(actions=["sqs:SendMessage"], resources=[self.arn])


def _policy(queue_arn: pulumi.Output[str], senders: Mapping[str, pulumi.Input[str]]) -> pulumi.Output[str]:
    statements: list[dict[str, Any]] = [
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]
    for service, source_arn in senders.items():
        statements.append(
            {
                "Effect": "Allow",
                "Principal": {"Service": service},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": source_arn}},
            }
        )
    return document(statements)
