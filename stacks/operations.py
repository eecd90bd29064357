"""Knowing how the stage does: failures that speak, a budget and the page that on-call opens first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components.budget import Budget, BudgetArgs
from components.dashboard import Dashboard, DashboardArgs, Graph, Metric
from components.event_route import EventRoute, EventRouteArgs, InputTransformer, TopicTarget
from ml import contract
from stacks.config import StageConfig
from stacks.preparation import Preparation
from stacks.serving import Serving
from stacks.training import Training

Dimensions = Mapping[str, pulumi.Input[str]]
PIPELINE_METRICS = "AWS/Sagemaker/ModelBuildingPipeline"  # spelt so by SageMaker
INTRODUCTION = """\
# NCF {stage}
Read from left to right: is a request answered, is a model rolled out, did the last run come through?
Alarms go to {email}. Dead letters are the first thing to look at: each one is an event that nobody handled.
"""


@dataclass(frozen=True, kw_only=True)
class OperationsArgs:
    """What operations needs of the stage and of other slices."""

    stage: StageConfig
    preparation: Preparation
    training: Training
    serving: Serving
    alarm_topic_arn: pulumi.Input[str]


class Operations(pulumi.ComponentResource):
    """Failure events, the budget and the dashboard of a stage."""

    dashboard: Dashboard

    def __init__(self, name: str, args: OperationsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:slice:Operations", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        stage, self._topic = args.stage, args.alarm_topic_arn
        for route, failure in self._failures(args.preparation, args.training).items():
            EventRoute(route, failure, child)
        Budget(
            "budget",
            BudgetArgs(
                monthly_usd=stage.operations.monthly_budget_usd,
                tags={"Stage": stage.tags.Stage},
                alarm_topic_arn=args.alarm_topic_arn,
            ),
            child,
        )
        self.dashboard = Dashboard(
            "dashboard",
            DashboardArgs(
                dashboard_name=f"ncf-{stage.stage}",
                region=stage.region,
                introduction=INTRODUCTION.format(stage=stage.stage, email=stage.operations.alarm_email),
                graphs=graphs(args.preparation, args.training, args.serving),
            ),
            child,
        )
        self.register_outputs({})

    def _failures(self, preparation: Preparation, training: Training) -> dict[str, EventRouteArgs]:
        """What fails outside of a function tells the topic itself."""
        return {
            "preparation-failed": self._failure(
                "aws.emr",
                "EMR Cluster State Change",
                {"name": [preparation.job_name], "state": ["TERMINATED_WITH_ERRORS"]},
                {"cluster": "$.detail.clusterId", "why": "$.detail.message"},
                "The preparation failed (cluster <cluster>): <why>",
            ),
            "build-failed": self._failure(
                "aws.codebuild",
                "CodeBuild Build State Change",
                {
                    "project-name": [training.build.name],
                    "build-status": ["FAILED", "FAULT", "STOPPED", "TIMED_OUT"],
                },
                {"build": "$.detail.build-id", "status": "$.detail.build-status"},
                "Build <build> ended <status>; its log has the step and the reason.",
            ),
            "pipeline-failed": self._failure(
                "aws.sagemaker",
                "SageMaker Model Building Pipeline Execution Status Change",
                {
                    "pipelineArn": [training.pipeline_arn],
                    "currentPipelineExecutionStatus": ["Failed", "Stopped"],
                },
                {
                    "execution": "$.detail.pipelineExecutionArn",
                    "status": "$.detail.currentPipelineExecutionStatus",
                },
                "Pipeline execution <execution> ended <status>.",
            ),
        }

    def _failure(
        self, source: str, detail_type: str, detail: Mapping[str, Any], paths: Mapping[str, str], text: str
    ) -> EventRouteArgs:
        return EventRouteArgs(
            description=text,
            source=source,
            detail_type=detail_type,
            detail=detail,
            target=TopicTarget(arn=self._topic),
            transformer=InputTransformer(paths=paths, template=f'"{text}"'),
            alarm_topic_arn=self._topic,
        )


def graphs(preparation: Preparation, training: Training, serving: Serving) -> list[Graph]:
    """The dashboard's graphs, in reading order."""
    queues = {
        **preparation.dead_letter_queues,
        **training.dead_letter_queues,
        **serving.dead_letter_queues,
    }
    api: Dimensions = {"ApiId": serving.api.api_id}
    variant: Dimensions = {"EndpointName": serving.endpoint.name, "VariantName": contract.VARIANT_NAME}
    return [
        Graph(
            title="Are requests answered?",
            metrics=[
                Metric(namespace="AWS/ApiGateway", metric="Count", dimensions=api, label="requests"),
                Metric(namespace="AWS/ApiGateway", metric="4xx", dimensions=api, label="client errors"),
                Metric(namespace="AWS/ApiGateway", metric="5xx", dimensions=api, label="server errors"),
            ],
        ),
        Graph(
            title="How fast (ms)?",
            metrics=[
                Metric(
                    namespace="AWS/ApiGateway", metric="Latency", dimensions=api, statistic=stat, label=stat
                )
                for stat in ("p50", "p99")
            ],
        ),
        Graph(
            title="Does the endpoint keep up?",
            metrics=[
                Metric(
                    namespace="AWS/SageMaker",
                    metric="InvocationsPerInstance",
                    dimensions=variant,
                    label="invocations an instance",
                ),
                Metric(
                    namespace="AWS/SageMaker",
                    metric="Invocation5XXErrors",
                    dimensions=variant,
                    label="errors",
                ),
            ],
        ),
        Graph(
            title="Do the functions fail?",
            metrics=[
                Metric(
                    namespace="AWS/Lambda",
                    metric="Errors",
                    dimensions={"FunctionName": function.name},
                    label=label,
                )
                for label, function in (
                    ("render buildspec", training.render_buildspec),
                    ("deploy model", serving.deploy_model),
                    ("recommend", serving.recommend),
                )
            ],
        ),
        Graph(title="Do runs come through?", metrics=_run_metrics(training)),
        Graph(
            title="Does anything wait unhandled?",
            metrics=[
                Metric(
                    namespace="AWS/SQS",
                    metric="ApproximateNumberOfMessagesVisible",
                    dimensions={"QueueName": queue.name},
                    statistic="Maximum",
                    label=label,
                )
                for label, queue in queues.items()
            ],
        ),
    ]


def _run_metrics(training: Training) -> list[Metric]:
    """What became of builds and of pipeline executions."""
    build: Dimensions = {"ProjectName": training.build.name}
    pipeline: Dimensions = {"PipelineName": training.pipeline_name}
    return [
        Metric(namespace=namespace, metric=metric, dimensions=dimensions, label=label)
        for namespace, metric, dimensions, label in (
            ("AWS/CodeBuild", "SucceededBuilds", build, "builds succeeded"),
            ("AWS/CodeBuild", "FailedBuilds", build, "builds failed"),
            (PIPELINE_METRICS, "ExecutionSucceeded", pipeline, "executions succeeded"),
            (PIPELINE_METRICS, "ExecutionFailed", pipeline, "executions failed"),
        )
    ]
