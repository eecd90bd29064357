"""EventBridge rule with one target, a retry policy and a dead-letter queue."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.dead_letter_queue import DeadLetterQueue, DeadLetterQueueArgs
from components.iam import Allow, ServiceRole, ServiceRoleArgs

SERVICE = "events.amazonaws.com"
MAX_RETRY_ATTEMPTS = 24
MAX_EVENT_AGE_S = 2 * 3600  # older events go to the dead-letter queue
_PLACEHOLDER = re.compile(r"<([A-Za-z0-9_-]+)>")
MAX_INPUT_PATHS = 100  # EventBridge user guide, input transformation


@dataclass(frozen=True, kw_only=True)
class FunctionTarget:
    """Lambda function as a target; its resource policy allows the rule to invoke it."""

    name: pulumi.Input[str]
    arn: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class RoleTarget:
    """Target that EventBridge calls with a role, such as a CodeBuild project."""

    arn: pulumi.Input[str]
    allow: Allow
    account_id: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class TopicTarget:
    """SNS topic as a target; its resource policy must allow EventBridge to publish.

    SNS targets do not support execution roles (EventBridge user guide, resource-based policies).
    """

    arn: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class InputTransformer:
    """Input transformer: the target receives the filled-in template instead of the event.

    Attributes:
        paths: name to JSON path in the event.
        template: the target's input, with ``<name>`` as placeholder of a path's value.
    """

    paths: Mapping[str, str]
    template: str

    def __post_init__(self) -> None:
        if len(self.paths) > MAX_INPUT_PATHS:
            raise ValueError(f"{len(self.paths)} input paths: EventBridge takes {MAX_INPUT_PATHS}")
        for name, path in self.paths.items():
            if not path.startswith("$."):
                raise ValueError(
                    f"input path {name}={path!r}: write a JSON path, such as '$.detail.object.key'"
                )
        for name in _PLACEHOLDER.findall(self.template):
            if name not in self.paths:
                raise ValueError(f"input template: <{name}> has no input path")


@dataclass(frozen=True, kw_only=True)
class EventRouteArgs:
    """Arguments of `EventRoute`.

    Attributes:
        description: description of the rule.
        source, detail_type, detail: the event pattern.
        target: receiver of the matching events.
        transformer: None sends the event unchanged.
        alarm_topic_arn: topic that is notified of undelivered events.
    """

    description: str
    source: str
    detail_type: str
    detail: Mapping[str, Any]
    target: FunctionTarget | RoleTarget | TopicTarget
    transformer: InputTransformer | None = None
    alarm_topic_arn: pulumi.Input[str]


class EventRoute(pulumi.ComponentResource):
    """EventBridge rule on the default bus with one target; undelivered events go to a dead-letter queue.

    Creates: EventRule, EventTarget, DeadLetterQueue, and ServiceRole or Permission, depending on the target.
    """

    rule_arn: pulumi.Output[str]
    rule_name: pulumi.Output[str]
    dead_letter_queue: DeadLetterQueue

    def __init__(self, name: str, args: EventRouteArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:events:EventRoute", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        rule = aws.cloudwatch.EventRule(
            name,
            description=args.description,
            event_pattern=pulumi.Output.json_dumps(
                {
                    "source": [args.source],
                    "detail-type": [args.detail_type],
                    "detail": dict(args.detail),
                }
            ),
            opts=child,
        )
        self.dead_letter_queue = DeadLetterQueue(
            f"{name}-undelivered",
            DeadLetterQueueArgs(
                alarm_topic_arn=args.alarm_topic_arn,
                contents=f"Events that {name} could not deliver",
                senders={SERVICE: rule.arn},
            ),
            child,
        )
        role_arn, permission = self._access(name, rule, args.target)
        aws.cloudwatch.EventTarget(
            f"{name}-target",
            rule=rule.name,
            target_id=name,
            arn=args.target.arn,
            role_arn=role_arn,
            retry_policy={
                "maximum_retry_attempts": MAX_RETRY_ATTEMPTS,
                "maximum_event_age_in_seconds": MAX_EVENT_AGE_S,
            },
            dead_letter_config={"arn": self.dead_letter_queue.arn},
            input_transformer=None
            if args.transformer is None
            else {
                "input_paths": dict(args.transformer.paths),
                "input_template": args.transformer.template,
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=permission),
        )
        self.rule_arn = rule.arn
        self.rule_name = rule.name
        self.register_outputs({"rule_arn": self.rule_arn, "rule_name": self.rule_name})

    def _access(
        self, name: str, rule: aws.cloudwatch.EventRule, target: FunctionTarget | RoleTarget | TopicTarget
    ) -> tuple[pulumi.Output[str] | None, list[pulumi.Resource]]:
        """Role ARN for the target, and the permission that must exist before the target."""
        child = pulumi.ResourceOptions(parent=self)
        if isinstance(target, RoleTarget):
            role = ServiceRole(
                f"{name}-role",
                ServiceRoleArgs(service=SERVICE, source_account=target.account_id, allows=[target.allow]),
                child,
            )
            return role.arn, []
        if isinstance(target, FunctionTarget):
            permission = aws.lambda_.Permission(
                f"{name}-permission",
                action="lambda:InvokeFunction",
                function=target.name,
                principal=SERVICE,
                source_arn=rule.arn,
                opts=child,
            )
            return None, [permission]
        return None, []
