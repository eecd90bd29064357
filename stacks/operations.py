"""Operations slice: notifications of failures, monthly budget and dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components.budget import Budget, BudgetArgs
from components.dashboard import Dashboard, DashboardArgs, Graph
from components.dead_letter_queue import DeadLetterQueue
from components.event_route import EventRoute, EventRouteArgs, InputTransformer, TopicTarget
from components.lambda_function import LambdaFunction
from ml.settings.monitoring import MonitoringSettings
from stacks.batch_recommendations import BatchRecommendations
from stacks.drift_alarms import drift_alarms
from stacks.functions import FunctionDefaults
from stacks.graphs import (
    endpoint_graph,
    fallback_graph,
    function_graph,
    model_graphs,
    queue_graph,
    request_graphs,
    run_graph,
)
from stacks.preparation import Preparation
from stacks.run_deadlines import RunDeadlines, RunDeadlinesArgs
from stacks.sections import DeadlinesConfig, OperationsConfig
from stacks.serving import Serving
from stacks.storage import Storage
from stacks.training import Training

INTRODUCTION = """\
# NCF {stage}
From left to right: requests to the API, those answered without the model, the endpoint, Lambda functions, the
last runs, dead-letter queues.
Alarms go to {email}. Look at the dead-letter queues first: each message is an event that was not handled.
"""


@dataclass(frozen=True, kw_only=True)
class OperationsArgs:
    """Arguments of `Operations`.

    Attributes:
        stage_name: part of the dashboard's name, and the cost allocation tag of the budget.
        region: region of the metrics.
        config: section `operations` of the stage configuration.
        preparation, training, serving: the slices to monitor.
        timezone: timezone of the deadlines.
        monitoring: section `monitoring` of the stage configuration.
        functions: arguments that all functions share.
        storage: bucket of the prepared runs.
        alarm_topic_arn: topic that is notified.
    """

    stage_name: str
    region: str
    config: OperationsConfig
    timezone: str
    monitoring: MonitoringSettings
    functions: FunctionDefaults
    storage: Storage
    preparation: Preparation
    training: Training
    serving: Serving
    alarm_topic_arn: pulumi.Input[str]


class Operations(pulumi.ComponentResource):
    """Notifications of failed clusters, builds and pipeline executions, a budget and a dashboard.

    Creates: EventRoute (3, or 4 with batch recommendations), MetricAlarm (4), Budget, Dashboard, and
    RunDeadlines if the stage has them.
    """

    dashboard: Dashboard
    functions: dict[str, LambdaFunction]
    dead_letter_queues: dict[str, DeadLetterQueue]

    def __init__(self, name: str, args: OperationsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:slice:Operations", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        routes = {
            "preparation failed": EventRoute("preparation-failed", _preparation_failed(args), child),
            "build failed": EventRoute("build-failed", _build_failed(args), child),
            "pipeline failed": EventRoute("pipeline-failed", _pipeline_failed(args), child),
        }
        if (batch := args.serving.batch) is not None:
            routes["batch failed"] = EventRoute("batch-failed", _batch_failed(args, batch), child)
        self.dead_letter_queues = {label: route.dead_letter_queue for label, route in routes.items()}
        self.functions = {}
        if (deadlines := args.config.deadlines) is not None:
            check = RunDeadlines("run-deadlines", _run_deadlines(args, deadlines), child)
            self.functions["check runs"] = check.function
            self.dead_letter_queues.update(check.dead_letter_queues)
        drift_alarms(args.stage_name, args.monitoring, args.alarm_topic_arn, child)
        Budget(
            "budget",
            BudgetArgs(
                monthly_usd=args.config.monthly_budget_usd,
                tags={"Stage": args.stage_name},
                alarm_topic_arn=args.alarm_topic_arn,
            ),
            child,
        )
        self.dashboard = Dashboard(
            "dashboard",
            DashboardArgs(
                dashboard_name=f"ncf-{args.stage_name}",
                region=args.region,
                introduction=INTRODUCTION.format(stage=args.stage_name, email=args.config.alarm_email),
                graphs=_graphs(args, self.functions),
            ),
            child,
        )
        self.register_outputs({})


def _graphs(args: OperationsArgs, functions: Mapping[str, LambdaFunction]) -> list[Graph]:
    """Graphs of the dashboard in reading order; functions and queues come from the slices."""
    preparation, training, serving = args.preparation, args.training, args.serving
    return [
        *request_graphs(serving.api),
        fallback_graph(serving.recommend),
        endpoint_graph(serving.endpoint),
        function_graph({**training.functions, **serving.functions, **functions}),
        run_graph(training),
        *model_graphs(args.stage_name),
        queue_graph(
            {
                **preparation.dead_letter_queues,
                **training.dead_letter_queues,
                **serving.dead_letter_queues,
            }
        ),
    ]


def _run_deadlines(args: OperationsArgs, deadlines: DeadlinesConfig) -> RunDeadlinesArgs:
    return RunDeadlinesArgs(
        stage_name=args.stage_name,
        deadlines=deadlines,
        timezone=args.timezone,
        functions=args.functions,
        storage=args.storage,
        pipeline_name=args.training.pipeline_name,
        pipeline_arn=args.training.pipeline_arn,
        alarm_topic_arn=args.alarm_topic_arn,
    )


def _preparation_failed(args: OperationsArgs) -> EventRouteArgs:
    return _notification(
        args,
        source="aws.emr",
        detail_type="EMR Cluster State Change",
        detail={"name": [args.preparation.job_name], "state": ["TERMINATED_WITH_ERRORS"]},
        paths={"cluster": "$.detail.clusterId", "why": "$.detail.message"},
        text="The preparation failed (cluster <cluster>): <why>",
    )


def _build_failed(args: OperationsArgs) -> EventRouteArgs:
    return _notification(
        args,
        source="aws.codebuild",
        detail_type="CodeBuild Build State Change",
        detail={
            "project-name": [args.training.build.name],
            "build-status": ["FAILED", "FAULT", "STOPPED", "TIMED_OUT"],
        },
        paths={"build": "$.detail.build-id", "status": "$.detail.build-status"},
        text="Build <build> ended <status>; its log has the step and the reason.",
    )


def _pipeline_failed(args: OperationsArgs) -> EventRouteArgs:
    return _notification(
        args,
        source="aws.sagemaker",
        detail_type="SageMaker Model Building Pipeline Execution Status Change",
        detail={
            "pipelineArn": [args.training.pipeline_arn],
            "currentPipelineExecutionStatus": ["Failed", "Stopped"],
        },
        paths={
            "execution": "$.detail.pipelineExecutionArn",
            "status": "$.detail.currentPipelineExecutionStatus",
        },
        text="Pipeline execution <execution> ended <status>.",
    )


def _batch_failed(args: OperationsArgs, batch: BatchRecommendations) -> EventRouteArgs:
    return _notification(
        args,
        **batch.ended_event("Failed", "Stopped"),
        paths={
            "job": "$.detail.ProcessingJobName",
            "status": "$.detail.ProcessingJobStatus",
            "why": "$.detail.FailureReason",
        },
        text="The batch recommendations failed (job <job>, the attempt is its last number): <status>. <why>",
    )


def _notification(
    args: OperationsArgs,
    *,
    source: str,
    detail_type: str,
    detail: Mapping[str, Any],
    paths: Mapping[str, str],
    text: str,
) -> EventRouteArgs:
    """Publish `text` to the alarm topic for each matching event, with the values of `paths` filled in."""
    return EventRouteArgs(
        description=text,
        source=source,
        detail_type=detail_type,
        detail=detail,
        target=TopicTarget(arn=args.alarm_topic_arn),
        transformer=InputTransformer(paths=paths, template=f'"{text}"'),
        alarm_topic_arn=args.alarm_topic_arn,
    )
