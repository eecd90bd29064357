"""Lambda function with role, log group, tracing, dead-letter queue and alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from components.alarm import Threshold, metric_alarm
from components.archives import code_archive
from components.dead_letter_queue import DeadLetterQueue, DeadLetterQueueArgs
from components.iam import Allow, ServiceRole, ServiceRoleArgs, grant_write_log

MAX_TIMEOUT_S = 900  # Lambda quotas
MIN_MEMORY_MIB, MAX_MEMORY_MIB = 128, 10_240  # Lambda quotas
ASYNC_RETRIES = 2  # Lambda's maximum
ASYNC_MAX_AGE_S = 3600  # older events go to the dead-letter queue


@dataclass(frozen=True, kw_only=True)
class LambdaFunctionArgs:
    """Arguments of `LambdaFunction`.

    Attributes:
        code: folder that is deployed.
        handler: ``module.function`` in that folder.
        environment: variables that the code reads.
        allows: permissions of the role, in addition to logging, tracing and its dead-letter queue.
        layer_arns: layers, such as Powertools.
        kms_key_arn: encrypts the environment and the log group.
        alarm_topic_arn: topic that is notified of errors and of messages in the dead-letter queue.
        timeout_s, memory_mib: limits of one invocation.
        log_retention_days: retention of the log group.
        reserved_concurrency: maximum number of concurrent invocations; None uses the account's pool.
    """

    code: Path
    handler: str = "handler.handler"
    runtime: str = "python3.12"
    architecture: str = "arm64"
    environment: Mapping[str, pulumi.Input[str]]
    allows: Sequence[Allow]
    layer_arns: Sequence[str] = ()
    kms_key_arn: pulumi.Input[str]
    alarm_topic_arn: pulumi.Input[str]
    timeout_s: int
    memory_mib: int
    log_retention_days: int
    reserved_concurrency: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.timeout_s <= MAX_TIMEOUT_S:
            raise ValueError(f"timeout_s {self.timeout_s}: Lambda takes 1 to {MAX_TIMEOUT_S}")
        if not MIN_MEMORY_MIB <= self.memory_mib <= MAX_MEMORY_MIB:
            raise ValueError(
                f"memory_mib {self.memory_mib}: Lambda takes {MIN_MEMORY_MIB} to {MAX_MEMORY_MIB}"
            )
        module = self.handler.partition(".")[0]
        if not (self.code / f"{module}.py").is_file():
            raise ValueError(f"handler {self.handler!r}: {self.code} has no {module}.py")


class LambdaFunction(pulumi.ComponentResource):
    """Lambda function: X-Ray tracing, encrypted log group, bounded retries, dead-letter queue, error alarm.

    Creates: Function, ServiceRole, LogGroup, FunctionEventInvokeConfig, DeadLetterQueue, MetricAlarm.
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    log_group_name: pulumi.Output[str]
    dead_letter_queue: DeadLetterQueue

    def __init__(
        self, name: str, args: LambdaFunctionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ncf:compute:LambdaFunction", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.dead_letter_queue = DeadLetterQueue(
            f"{name}-failed",
            DeadLetterQueueArgs(
                alarm_topic_arn=args.alarm_topic_arn, contents=f"Events that {name} failed to handle"
            ),
            child,
        )
        log_group = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            retention_in_days=args.log_retention_days,
            kms_key_id=args.kms_key_arn,
            opts=child,
        )
        role = ServiceRole(f"{name}-role", self._role(args, log_group), child)
        function = self._function(name, args, role, log_group)
        self._retries(name, function)
        metric_alarm(f"{name}-errors", _errors(name, function), args.alarm_topic_arn, child)
        self.name = function.name
        self.arn = function.arn
        self.log_group_name = log_group.name
        self.register_outputs({"name": self.name, "arn": self.arn, "log_group_name": self.log_group_name})

    def grant_invoke(self) -> Allow:
        """Permission to invoke this function; attach it to the caller's role."""
        return Allow(actions=["lambda:InvokeFunction"], resources=[self.arn])

    def _role(self, args: LambdaFunctionArgs, log_group: aws.cloudwatch.LogGroup) -> ServiceRoleArgs:
        return ServiceRoleArgs(
            service="lambda.amazonaws.com",
            allows=[
                grant_write_log(log_group.arn),
                Allow(
                    actions=["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
                    resources=["*"],
                    reason="X-Ray has no resource-level permissions for writing traces",
                ),
                # Lambda decrypts the environment variables with the function's role.
                Allow(actions=["kms:Decrypt"], resources=[args.kms_key_arn]),
                self.dead_letter_queue.grant_send(),
                *args.allows,
            ],
        )

    def _function(
        self, name: str, args: LambdaFunctionArgs, role: ServiceRole, log_group: aws.cloudwatch.LogGroup
    ) -> aws.lambda_.Function:
        return aws.lambda_.Function(
            name,
            code=code_archive(args.code),
            handler=args.handler,
            runtime=args.runtime,
            architectures=[args.architecture],
            layers=list(args.layer_arns),
            role=role.arn,
            timeout=args.timeout_s,
            memory_size=args.memory_mib,
            kms_key_arn=args.kms_key_arn,
            environment={"variables": dict(args.environment)},
            tracing_config={"mode": "Active"},
            logging_config={"log_format": "JSON", "log_group": log_group.name},
            reserved_concurrent_executions=args.reserved_concurrency,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _retries(self, name: str, function: aws.lambda_.Function) -> None:
        """Retries of asynchronous invocations, and the queue for events that fail after them."""
        aws.lambda_.FunctionEventInvokeConfig(
            f"{name}-async",
            function_name=function.name,
            maximum_retry_attempts=ASYNC_RETRIES,
            maximum_event_age_in_seconds=ASYNC_MAX_AGE_S,
            destination_config={"on_failure": {"destination": self.dead_letter_queue.arn}},
            opts=pulumi.ResourceOptions(parent=self),
        )


def _errors(name: str, function: aws.lambda_.Function) -> Threshold:
    return Threshold(
        namespace="AWS/Lambda",
        metric="Errors",
        dimensions={"FunctionName": function.name},
        statistic="Sum",
        above=0,
        period_s=300,
        description=f"{name} failed: its log group has the request id and the reason.",
    )
