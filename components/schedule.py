"""A call to AWS at fixed times."""

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
    """What a schedule needs to know.

    Args:
        description: what happens then.
        expression: ``cron(…)`` or ``rate(…)``.
        timezone: IANA name of the zone that the expression is in.
        action: the API call, ``service:apiAction`` as Scheduler spells it, such as ``emr:runJobFlow``.
        input: the call's parameters as JSON.
        allows: what the call needs.
        account_id: the account on whose behalf Scheduler acts.
        alarm_topic_arn: who is told of calls that failed.
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
            raise ValueError(f"action {self.action!r}: write 'service:apiAction', as 'emr:runJobFlow'")


class Schedule(pulumi.ComponentResource):
    """A schedule with a universal target, its role, retries and dead-letter queue."""

    name: pulumi.Output[str]
    dead_letter_queue: DeadLetterQueue

    def __init__(self, name: str, args: ScheduleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:events:Schedule", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.dead_letter_queue = DeadLetterQueue(
            f"{name}-undelivered",
            DeadLetterQueueArgs(
                alarm_topic_arn=args.alarm_topic_arn, holds=f"Calls that {name} could not make"
            ),
            child,
        )
        role = ServiceRole(
            f"{name}-role",
            ServiceRoleArgs(
                service=SERVICE,
                source_account=args.account_id,
                allows=[*args.allows, self.dead_letter_queue.send()],
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
