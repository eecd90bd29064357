"""A dead-letter queue that tells somebody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from components.alarm import Threshold, metric_alarm
from components.iam import Allow, document

RETENTION_S = 14 * 24 * 3600  # SQS's maximum: a long weekend must not lose the evidence


@dataclass(frozen=True, kw_only=True)
class DeadLetterQueueArgs:
    """What a dead-letter queue needs to know.

    Args:
        alarm_topic_arn: who is told of the first message.
        holds: what lands here, for the alarm's text.
        senders: AWS services that put messages by the queue's own policy, each with the ARN it sends for.
    """

    alarm_topic_arn: pulumi.Input[str]
    holds: str
    senders: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


class DeadLetterQueue(pulumi.ComponentResource):
    """An encrypted queue for what could not be handled; one message in it is an alarm."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]

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
                description=f"{args.holds}: read the message, mend the cause, then redrive it.",
            ),
            args.alarm_topic_arn,
            child,
        )
        self.name = queue.name
        self.arn = pulumi.Output.all(queue.arn, queue_policy.id).apply(lambda values: values[0])
        self.register_outputs({"name": self.name, "arn": self.arn})

    def send(self) -> Allow:
        """Putting messages by a role of one's own."""
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
