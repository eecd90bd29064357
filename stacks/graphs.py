"""Graphs of the dashboard, one function per subject."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.dashboard import Graph, GraphMetric
from components.dead_letter_queue import DeadLetterQueue
from components.endpoint import Endpoint
from components.http_api import HttpApi
from components.lambda_function import LambdaFunction
from ml import contract
from ml.settings.monitoring import MONITORED_METRICS
from stacks.training import Training

Dimensions = Mapping[str, pulumi.Input[str]]
PIPELINE_METRICS = "AWS/Sagemaker/ModelBuildingPipeline"  # SageMaker's spelling


def request_graphs(api: HttpApi) -> list[Graph]:
    """Number of requests and errors, and latency, of the API."""
    dimensions: Dimensions = {"ApiId": api.api_id}
    counts = {"Count": "requests", "4xx": "client errors", "5xx": "server errors"}
    return [
        Graph(
            title="API requests and errors",
            metrics=[
                GraphMetric(namespace="AWS/ApiGateway", metric=metric, dimensions=dimensions, label=label)
                for metric, label in counts.items()
            ],
        ),
        Graph(
            title="API latency (ms)",
            metrics=[
                GraphMetric(
                    namespace="AWS/ApiGateway",
                    metric="Latency",
                    dimensions=dimensions,
                    statistic=statistic,
                    label=statistic,
                )
                for statistic in ("p50", "p99")
            ],
        ),
    ]


def endpoint_graph(endpoint: Endpoint) -> Graph:
    """Invocations per instance, and errors, of the endpoint."""
    dimensions: Dimensions = {"EndpointName": endpoint.name, "VariantName": contract.VARIANT_NAME}
    metrics = {"InvocationsPerInstance": "invocations per instance", "Invocation5XXErrors": "errors"}
    return Graph(
        title="Endpoint invocations and errors",
        metrics=[
            GraphMetric(namespace="AWS/SageMaker", metric=metric, dimensions=dimensions, label=label)
            for metric, label in metrics.items()
        ],
    )


def fallback_graph(recommend: LambdaFunction) -> Graph:
    """Requests that the popular list answered, because the endpoint did not."""
    return Graph(
        title="Requests answered without the model",
        metrics=[
            GraphMetric(
                namespace=contract.METRICS_NAMESPACE,
                metric=contract.FALLBACK_METRIC,
                dimensions={"FunctionName": recommend.name},
                label="fallbacks",
            )
        ],
    )


def function_graph(functions: Mapping[str, LambdaFunction]) -> Graph:
    """Errors of each Lambda function."""
    return Graph(
        title="Lambda function errors",
        metrics=[
            GraphMetric(
                namespace="AWS/Lambda",
                metric="Errors",
                dimensions={"FunctionName": function.name},
                label=label,
            )
            for label, function in functions.items()
        ],
    )


def run_graph(training: Training) -> Graph:
    """Results of builds and pipeline executions."""
    build: Dimensions = {"ProjectName": training.build.name}
    pipeline: Dimensions = {"PipelineName": training.pipeline_name}
    return Graph(
        title="Builds and pipeline executions",
        metrics=[
            GraphMetric(namespace=namespace, metric=metric, dimensions=dimensions, label=label)
            for namespace, metric, dimensions, label in (
                ("AWS/CodeBuild", "SucceededBuilds", build, "builds succeeded"),
                ("AWS/CodeBuild", "FailedBuilds", build, "builds failed"),
                (PIPELINE_METRICS, "ExecutionSucceeded", pipeline, "executions succeeded"),
                (PIPELINE_METRICS, "ExecutionFailed", pipeline, "executions failed"),
            )
        ],
    )


def model_graphs(stage_name: str) -> list[Graph]:
    """Quality of the model that serves, and how the newest day differs from the days before."""
    quality = ("hr_at_10", "ndcg_at_10", "coverage")
    return [
        Graph(
            title=title,
            metrics=[
                GraphMetric(
                    namespace=contract.METRICS_NAMESPACE,
                    metric=metric.name,
                    dimensions={contract.STAGE_DIMENSION: stage_name},
                    statistic="Maximum",
                    label=metric.label,
                )
                for metric in MONITORED_METRICS
                if (metric.key in quality) is is_quality
            ],
        )
        for title, is_quality in (("Model that serves, newest day", True), ("Drift", False))
    ]


def queue_graph(queues: Mapping[str, DeadLetterQueue]) -> Graph:
    """Visible messages of each dead-letter queue."""
    return Graph(
        title="Messages in dead-letter queues",
        metrics=[
            GraphMetric(
                namespace="AWS/SQS",
                metric="ApproximateNumberOfMessagesVisible",
                dimensions={"QueueName": queue.name},
                statistic="Maximum",
                label=label,
            )
            for label, queue in queues.items()
        ],
    )
