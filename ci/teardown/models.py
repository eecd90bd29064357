"""Resources of pipeline and deploy_model: logs of jobs, endpoint configs, models, packages, the pipeline.

The endpoint belongs to Pulumi, but its config and models cannot be deleted while it exists, so it is deleted
here, before them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ci.teardown.calls import delete_if_exists, exists, listed
from ci.teardown.leftover import Leftover, Waiter
from ci.teardown.stage import DeployedStage

# Log group of a step's job, by its key in the metadata of the step.
JOB_LOG_GROUPS = {
    "TrainingJob": "/aws/sagemaker/TrainingJobs",
    "ProcessingJob": "/aws/sagemaker/ProcessingJobs",
}
PIPELINE_MODELS = "pipelines-"  # SageMaker pipelines name their models pipelines-<execution>-…


def pipeline_executions(sagemaker: Any, stage: DeployedStage) -> list[dict[str, Any]]:
    """Every execution of the stage's pipeline; none without a pipeline."""
    return listed(
        sagemaker,
        "list_pipeline_executions",
        "PipelineExecutionSummaries",
        PipelineName=stage.outputs["pipeline_name"],
    )


def job_logs(sagemaker: Any, logs: Any, executions: list[dict[str, Any]]) -> Iterator[Leftover]:
    """Log streams of the executions' jobs, in log groups that all stages of the account share."""
    for execution in executions:
        arn = execution["PipelineExecutionArn"]
        steps = listed(
            sagemaker, "list_pipeline_execution_steps", "PipelineExecutionSteps", PipelineExecutionArn=arn
        )
        for step in steps:
            for kind, group in JOB_LOG_GROUPS.items():
                if job := step.get("Metadata", {}).get(kind, {}).get("Arn"):
                    yield from _streams(logs, group, f"{job.rpartition('/')[2]}/")


def _streams(logs: Any, group: str, prefix: str) -> Iterator[Leftover]:
    streams = listed(
        logs, "describe_log_streams", "logStreams", logGroupName=group, logStreamNamePrefix=prefix
    )
    for name in (stream["logStreamName"] for stream in streams):
        delete = partial(delete_if_exists, logs.delete_log_stream, logGroupName=group, logStreamName=name)
        yield Leftover("log stream", f"{group}/{name}", delete)


def endpoint(sagemaker: Any, stage: DeployedStage, waiter: Waiter) -> Iterator[Leftover]:
    """The endpoint."""
    name = stage.outputs["endpoint_name"]
    remains = partial(exists, sagemaker.describe_endpoint, EndpointName=name)

    def delete() -> None:
        delete_if_exists(sagemaker.delete_endpoint, EndpointName=name)
        waiter.until(lambda: not remains(), f"deletion of endpoint {name}")

    if remains():
        yield Leftover("endpoint", name, delete)


def endpoint_configs(sagemaker: Any, stage: DeployedStage) -> Iterator[Leftover]:
    """Endpoint configs of deploy_model; Pulumi's own has another name."""
    name = stage.outputs["endpoint_name"]
    found = listed(sagemaker, "list_endpoint_configs", "EndpointConfigs", NameContains=f"{name}-v")
    for config in (each["EndpointConfigName"] for each in found):
        if is_of_deploy_model(config, name):
            delete = partial(delete_if_exists, sagemaker.delete_endpoint_config, EndpointConfigName=config)
            yield Leftover("endpoint config", config, delete)


def models(sagemaker: Any, stage: DeployedStage) -> Iterator[Leftover]:
    """Models of deploy_model, by their name, and of the stage's pipeline, by their tags."""
    for model in listed(sagemaker, "list_models", "Models"):
        name = model["ModelName"]
        if is_of_deploy_model(name, stage.outputs["endpoint_name"]) or (
            name.startswith(PIPELINE_MODELS) and _has_tags(sagemaker, model["ModelArn"], stage.tags)
        ):
            delete = partial(delete_if_exists, sagemaker.delete_model, ModelName=name)
            yield Leftover("model", name, delete)


def packages(sagemaker: Any, stage: DeployedStage) -> Iterator[Leftover]:
    """Versions in the model package group."""
    group = stage.outputs["model_package_group"]
    found = listed(sagemaker, "list_model_packages", "ModelPackageSummaryList", ModelPackageGroupName=group)
    for arn in (each["ModelPackageArn"] for each in found):
        delete = partial(delete_if_exists, sagemaker.delete_model_package, ModelPackageName=arn)
        yield Leftover("model package", arn, delete)


def pipeline(sagemaker: Any, stage: DeployedStage) -> Iterator[Leftover]:
    """The pipeline, which a build created."""
    name = stage.outputs["pipeline_name"]
    if exists(sagemaker.describe_pipeline, PipelineName=name):
        delete = partial(delete_if_exists, sagemaker.delete_pipeline, PipelineName=name)
        yield Leftover("pipeline", name, delete)


def is_of_deploy_model(name: str, endpoint_name: str) -> bool:
    """Whether deploy_model made this name: ``<endpoint>-v<version>-<digest>``."""
    return bool(re.fullmatch(rf"{re.escape(endpoint_name)}-v\d+-[0-9a-f]{{8}}", name))


def _has_tags(sagemaker: Any, arn: str, tags: Mapping[str, str]) -> bool:
    found = {tag["Key"]: tag["Value"] for tag in listed(sagemaker, "list_tags", "Tags", ResourceArn=arn)}
    return tags.items() <= found.items()
