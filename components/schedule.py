"""EventBridge Scheduler schedule that calls an AWS API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.dead_letter_queue import DeadLetterQueue, DeadLetterQueueArgs
from components.iam import Allow, ServiceRole, ServiceRoleArgs

SERVICE = "scheduler.amazonaws.com"
SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"  # EventBridge Scheduler, context attributes
MAX_RETRY_ATTEMPTS = 5
MAX_EVENT_AGE_S = 3600


@dataclass(frozen=True, kw_only=True)
class ScheduleArgs:
    """Arguments of `Schedule`.

    Attributes:
        description: description of the schedule.
        expression: ``cron(…)`` or ``rate(…)``.
        timezone: IANA time zone of the expression.
        action: API action in Scheduler's notation, ``service:apiAction``, such as ``emr:runJobFlow``.
        input: parameters of the call as JSON.
        allows: permissions that the call needs.
        account_id: the account on whose behalf Scheduler acts.
        alarm_topic_arn: topic that is notified of failed calls.
    """

    description: str
    expression: str
    timezone: str
    action: str
    input: pulumi.Input[str]
    allows: Sequence[Allow]
    account_id: pulumi.Input[str]
    alarm_topic_arn: pulumi.Input[str]

    def __post_init__(self) -> None:
        if not self.expression.startswith(("cron(", "rate(")) or not self.expression.endswith(")"):
            raise ValueError(f"expression {self.expression!r}: write 'cron(0 2 * * ? *)' or 'rate(1 day)'")
        if ":" not in self.action:
            raise ValueError(f"action {self.action!r}: write 'service:apiAction', such as 'emr:runJobFlow'")


class Schedule(pulumi.ComponentResource):
    """Schedule with a universal target, a retry policy and a dead-letter queue.

    Creates: DeadLetterQueue, ServiceRole, Schedule.
    """

    name: pulumi.Output[str]
    dead_letter_queue: DeadLetterQueue

    def __init__(self, name: str, args: ScheduleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:events:Schedule", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.dead_letter_queue = DeadLetterQueue(
            f"{name}-undelivered",
            DeadLetterQueueArgs(
                alarm_topic_arn=args.alarm_topic_arn, contents=f"Calls that {name} could not make"
            ),
            child,
        )
        role = ServiceRole(
            f"{name}-role",
            ServiceRoleArgs(
                service=SERVICE,
                source_account=args.account_id,
                allows=[*args.allows, self.dead_letter_queue.grant_send()],
            ),
            child,
        )
        schedule = aws.scheduler.Schedule(
            name,
            description=args.description,
            schedule_expression=args.expression,
            schedule_expression_timezone=args.timezone,
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": f"arn:aws:scheduler:::aws-sdk:{args.action}",
                "role_arn": role.arn,
                "input": args.input,
                "retry_policy": {
                    "maximum_retry_attempts": MAX_RETRY_ATTEMPTS,
                    "maximum_event_age_in_seconds": MAX_EVENT_AGE_S,
                },
                "dead_letter_config": {"arn": self.dead_letter_queue.arn},
            },
            opts=child,
        )
        self.name = schedule.name
        self.register_outputs({"name": self.name})
