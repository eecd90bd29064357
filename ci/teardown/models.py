"""What pipeline and deploy_model created: logs of jobs, endpoint configs, models, packages, the pipeline.

The endpoint belongs to Pulumi, but its config and models cannot be deleted while it exists, so it is deleted
here, before them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from ci.teardown.leftover import Leftover, Waiter
from ci.teardown.stage import Stage

# Log group of a step's job, by its key in the metadata of the step.
JOB_LOG_GROUPS = {
    "TrainingJob": "/aws/sagemaker/TrainingJobs",
    "ProcessingJob": "/aws/sagemaker/ProcessingJobs",
}
PIPELINE_MODELS = "pipelines-"  # SageMaker pipelines name their models pipelines-<execution>-…
MISSING = ("ResourceNotFound", "ResourceNotFoundException", "NoSuchBucket")


def pipeline_executions(sagemaker: Any, stage: Stage) -> list[dict[str, Any]]:
    """Every execution of the stage's pipeline; none without a pipeline."""
    pages = sagemaker.get_paginator("list_pipeline_executions").paginate(
        PipelineName=stage.outputs["pipeline_name"]
    )
    try:
        return [each for page in pages for each in page["PipelineExecutionSummaries"]]
    except ClientError as error:
        if not _is_missing(error):
            raise
        return []


def job_logs(sagemaker: Any, logs: Any, executions: list[dict[str, Any]]) -> Iterator[Leftover]:
    """Log streams of the executions' jobs, in log groups that all stages of the account share."""
    for execution in executions:
        pages = sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
            PipelineExecutionArn=execution["PipelineExecutionArn"]
        )
        for step in (each for page in pages for each in page["PipelineExecutionSteps"]):
            for kind, group in JOB_LOG_GROUPS.items():
                if arn := step.get("Metadata", {}).get(kind, {}).get("Arn"):
                    yield from _streams(logs, group, f"{arn.rpartition('/')[2]}/")


def _streams(logs: Any, group: str, prefix: str) -> Iterator[Leftover]:
    pages = logs.get_paginator("describe_log_streams").paginate(
        logGroupName=group, logStreamNamePrefix=prefix
    )
    try:
        streams = [each["logStreamName"] for page in pages for each in page["logStreams"]]
    except ClientError as error:
        if not _is_missing(error):
            raise
        return
    for stream in streams:
        delete = partial(_if_exists, logs.delete_log_stream, logGroupName=group, logStreamName=stream)
        yield Leftover("log stream", f"{group}/{stream}", delete)


def endpoint(sagemaker: Any, stage: Stage, waiter: Waiter) -> Iterator[Leftover]:
    """The endpoint."""
    name = stage.outputs["endpoint_name"]

    def exists() -> bool:
        return _exists(sagemaker.describe_endpoint, EndpointName=name)

    def delete() -> None:
        _if_exists(sagemaker.delete_endpoint, EndpointName=name)
        waiter.until(lambda: not exists(), f"deletion of endpoint {name}")

    if exists():
        yield Leftover("endpoint", name, delete)


def endpoint_configs(sagemaker: Any, stage: Stage) -> Iterator[Leftover]:
    """Endpoint configs of deploy_model; Pulumi's own has another name."""
    name = stage.outputs["endpoint_name"]
    pages = sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains=f"{name}-v")
    for config in (each["EndpointConfigName"] for page in pages for each in page["EndpointConfigs"]):
        if is_of_deploy_model(config, name):
            delete = partial(_if_exists, sagemaker.delete_endpoint_config, EndpointConfigName=config)
            yield Leftover("endpoint config", config, delete)


def models(sagemaker: Any, stage: Stage) -> Iterator[Leftover]:
    """Models of deploy_model, by their name, and of the stage's pipeline, by their tags."""
    pages = sagemaker.get_paginator("list_models").paginate()
    for model in (each for page in pages for each in page["Models"]):
        name = model["ModelName"]
        if is_of_deploy_model(name, stage.outputs["endpoint_name"]) or (
            name.startswith(PIPELINE_MODELS) and _has_tags(sagemaker, model["ModelArn"], stage.tags)
        ):
            yield Leftover("model", name, partial(_if_exists, sagemaker.delete_model, ModelName=name))


def packages(sagemaker: Any, stage: Stage) -> Iterator[Leftover]:
    """Versions in the model package group."""
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=stage.outputs["model_package_group"]
    )
    for arn in (each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]):
        yield Leftover(
            "model package", arn, partial(_if_exists, sagemaker.delete_model_package, ModelPackageName=arn)
        )


def pipeline(sagemaker: Any, stage: Stage) -> Iterator[Leftover]:
    """The pipeline, which a build created."""
    name = stage.outputs["pipeline_name"]
    if _exists(sagemaker.describe_pipeline, PipelineName=name):
        yield Leftover("pipeline", name, partial(_if_exists, sagemaker.delete_pipeline, PipelineName=name))


def is_of_deploy_model(name: str, endpoint_name: str) -> bool:
    """Whether deploy_model made this name: ``<endpoint>-v<version>-<digest>``."""
    return bool(re.fullmatch(rf"{re.escape(endpoint_name)}-v\d+-[0-9a-f]{{8}}", name))


def _has_tags(sagemaker: Any, arn: str, tags: Mapping[str, str]) -> bool:
    pages = sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
    found = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
    return tags.items() <= found.items()


def _exists(describe: Any, **name: str) -> bool:
    try:
        describe(**name)
    except ClientError as error:
        if not _is_missing(error):
            raise
        return False
    return True


def _if_exists(delete: Any, **name: str) -> None:
    try:
        delete(**name)
    except ClientError as error:
        if not _is_missing(error):
            raise


def _is_missing(error: ClientError) -> bool:
    # SageMaker has no error code of its own for most missing resources.
    missing = ("could not find", "does not exist")
    return error.response["Error"]["Code"] in MISSING or any(text in str(error).lower() for text in missing)
