"""Follow the batch recommendations of the deployed model until the job has written them."""

from __future__ import annotations

import json
import time
from typing import Any

from local.aws import DeployedStage
from local.errors import StepFailedError
from local.logs import group_log_lines
from local.timeline import Timeline
from ml import contract
from ml.settings.containers import JOB_LOG_GROUPS

STEP = "batch"
POLL_S = 0.4
TIMEOUT_S = 900
BATCH_JOB, DEPLOYMENT, DEPLOYED = "batch_job", "deployment", "Deployed"  # package metadata of deploy_model


def follow_batch(stage: DeployedStage, timeline: Timeline) -> None:
    """Wait for the lists of all users; nothing happens in a stage without batch recommendations.

    Raises:
        StepFailedError: no job started in time, or it failed.
    """
    uri = stage.outputs.get("batch_recommendations_uri")
    if uri is None:
        return
    with timeline.step(STEP, "recommendations of all users, a processing job") as step:
        name = _wait(lambda: _job_name(stage))
        job = _wait(lambda: _ended(stage, name))
        if job["ProcessingJobStatus"] != "Completed":
            lines = group_log_lines(stage.client("logs"), JOB_LOG_GROUPS["ProcessingJob"])
            raise StepFailedError(STEP, job.get("FailureReason", job["ProcessingJobStatus"]), lines)
        manifest, folder = _manifest(stage, uri)
        step.detail = f"{manifest['top_n']} items for each of {manifest['users']:,} users: {folder}"


def _job_name(stage: DeployedStage) -> str | None:
    """Name of the job of the newest deployed package."""
    sagemaker = stage.client("sagemaker")
    packages = sagemaker.list_model_packages(
        ModelPackageGroupName=stage.outputs["model_package_group"],
        SortBy="CreationTime",
        SortOrder="Descending",
    )["ModelPackageSummaryList"]
    for each in packages:
        package = sagemaker.describe_model_package(ModelPackageName=each["ModelPackageArn"])
        metadata = package.get("CustomerMetadataProperties", {})
        if metadata.get(DEPLOYMENT) == DEPLOYED:
            return metadata.get(BATCH_JOB)
    return None


def _ended(stage: DeployedStage, name: str) -> dict[str, Any] | None:
    job = stage.client("sagemaker").describe_processing_job(ProcessingJobName=name)
    return job if job["ProcessingJobStatus"] in ("Completed", "Failed", "Stopped") else None


def _manifest(stage: DeployedStage, uri: str) -> tuple[dict[str, Any], str]:
    """The newest manifest below the URI, and its folder."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    pages = stage.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    objects = [each for page in pages for each in page.get("Contents", [])]
    manifests = [each for each in objects if each["Key"].endswith(f"/{contract.MANIFEST_FILE}")]
    key = max(manifests, key=lambda each: each["LastModified"])["Key"]
    content = json.load(stage.client("s3").get_object(Bucket=bucket, Key=key)["Body"])
    return content, f"s3://{bucket}/{key.removesuffix(contract.MANIFEST_FILE)}"


def _wait(poll: Any) -> Any:
    deadline = time.monotonic() + TIMEOUT_S
    while not (value := poll()):
        if time.monotonic() > deadline:
            raise StepFailedError(STEP, f"no progress within {TIMEOUT_S} s")
        time.sleep(POLL_S)
    return value
