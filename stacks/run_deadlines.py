"""Deadlines of the nightly run: a scheduled check, and alarms when the run is late (ADR 31)."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.alarm import Threshold, metric_alarm
from components.dead_letter_queue import DeadLetterQueue
from components.iam import Allow
from components.lambda_function import LambdaFunction, LambdaFunctionArgs
from components.schedule import Schedule, ScheduleArgs
from ml import contract
from stacks.functions import FunctionDefaults
from stacks.sections import DeadlinesConfig
from stacks.storage import Storage

EVERY_QUARTER_HOUR = "cron(0/15 * * * ? *)"
TWO_CHECKS_S = 1800  # one check that fails, or comes a little later, does not start the alarms


@dataclass(frozen=True, kw_only=True)
class RunDeadlinesArgs:
    """Arguments of `RunDeadlines`.

    Attributes:
        stage_name: dimension of the metrics.
        deadlines, timezone: hours of the day and their time zone.
        functions: arguments that all functions share.
        storage: bucket of the prepared runs.
        pipeline_name, pipeline_arn: SageMaker pipeline.
        alarm_topic_arn: topic that is notified.
    """

    stage_name: str
    deadlines: DeadlinesConfig
    timezone: str
    functions: FunctionDefaults
    storage: Storage
    pipeline_name: str
    pipeline_arn: pulumi.Input[str]
    alarm_topic_arn: pulumi.Input[str]


class RunDeadlines(pulumi.ComponentResource):
    """Function that looks for the run of the night, its schedule, and an alarm per deadline.

    A period without data counts as a missed deadline: the check itself may have stopped.

    Creates: LambdaFunction, Schedule, MetricAlarm (2).
    """

    function: LambdaFunction
    dead_letter_queues: dict[str, DeadLetterQueue]

    def __init__(self, name: str, args: RunDeadlinesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:operations:RunDeadlines", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.function = LambdaFunction("check-runs", _check_runs(args), child)
        schedule = Schedule(
            "check-runs-schedule",
            ScheduleArgs(
                description="Looks for the run of the night",
                expression=EVERY_QUARTER_HOUR,
                timezone=args.timezone,
                action="lambda:invoke",
                input=pulumi.Output.json_dumps(
                    {"FunctionName": self.function.name, "InvocationType": "Event"}
                ),
                allows=[self.function.grant_invoke()],
                account_id=args.storage.key.account_id,
                alarm_topic_arn=args.alarm_topic_arn,
            ),
            child,
        )
        self.dead_letter_queues = {
            "check runs": self.function.dead_letter_queue,
            "check runs schedule": schedule.dead_letter_queue,
        }
        for label, threshold in _thresholds(args).items():
            metric_alarm(label, threshold, args.alarm_topic_arn, child)
        self.register_outputs({})


def _check_runs(args: RunDeadlinesArgs) -> LambdaFunctionArgs:
    return args.functions.args(
        "check_runs",
        environment={
            "DATA_BUCKET": args.storage.data.name,
            "PREPARED_PREFIX": contract.PREPARED_PREFIX,
            "PIPELINE_NAME": args.pipeline_name,
            "PREPARED_BY_HOUR": str(args.deadlines.prepared_by_hour),
            "TRAINED_BY_HOUR": str(args.deadlines.trained_by_hour),
            "DEADLINE_TIMEZONE": args.timezone,
            "STAGE_NAME": args.stage_name,
            "METRICS_NAMESPACE": contract.METRICS_NAMESPACE,
        },
        allows=[
            args.storage.data.grant_list(contract.PREPARED_PREFIX),
            Allow(actions=["sagemaker:ListPipelineExecutions"], resources=[args.pipeline_arn]),
        ],
        timeout_s=30,
        memory_mib=256,
    )


def _thresholds(args: RunDeadlinesArgs) -> dict[str, Threshold]:
    """Alarms by name."""
    hours, metrics = args.deadlines, (contract.PREPARATION_OVERDUE_METRIC, contract.TRAINING_OVERDUE_METRIC)
    prepared = f"No run was prepared by {hours.prepared_by_hour}:00 {args.timezone}: did a cluster run?"
    trained = f"No run was trained by {hours.trained_by_hour}:00 {args.timezone}: see its build."
    return {
        label: Threshold(
            namespace=contract.METRICS_NAMESPACE,
            metric=metric,
            dimensions={contract.STAGE_DIMENSION: args.stage_name},
            statistic="Minimum",  # the first check that finds the run ends the alarm
            above=0,
            period_s=TWO_CHECKS_S,
            missing="breaching",
            description=text,
        )
        for label, metric, text in zip(
            ("preparation-overdue", "training-overdue"), metrics, (prepared, trained), strict=True
        )
    }
