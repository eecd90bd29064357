"""Renders the buildspec of a prepared run when its ``_SUCCESS`` object is created.

Takes the S3 event "Object Created" of ``<PREPARED_PREFIX>run=<run_id>/_SUCCESS`` from EventBridge,
validates the run's manifest, pins the current version of the code bundle and writes
``<BUILDSPECS_PREFIX><run_id>.yml`` unless it exists. Events are delivered at least once, so a repeated event
changes nothing. Only when ``_SUCCESS`` is written again, and no pipeline execution of the run is in progress
or has succeeded, the buildspec is rendered again with the current code version, which starts the run again.

Environment:
    ARTIFACTS_BUCKET: bucket of the code bundle and of the buildspecs.
    CODE_BUNDLE_KEY: key of the code bundle, such as ``code/source.zip``.
    BUILDSPECS_PREFIX: key prefix of the buildspecs, such as ``buildspecs/``.
    PREPARED_PREFIX: key prefix of the runs in the bucket of the event, such as ``prepared/``.
    PIPELINE_NAME: SageMaker pipeline that trains on the runs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import ClientError
from logic import (
    EventError,
    PreparedRun,
    check_manifest,
    execution_name,
    is_repeatable,
    prepared_run,
    render,
)

ARTIFACTS_BUCKET = os.environ["ARTIFACTS_BUCKET"]
CODE_BUNDLE_KEY = os.environ["CODE_BUNDLE_KEY"]
BUILDSPECS_PREFIX = os.environ["BUILDSPECS_PREFIX"]
PREPARED_PREFIX = os.environ["PREPARED_PREFIX"]
PIPELINE_NAME = os.environ["PIPELINE_NAME"]
TEMPLATE = (Path(__file__).parent / "buildspec.yml.template").read_text(encoding="utf-8")
MISSING_OBJECT_CODES = ("NoSuchKey", "NoSuchBucket", "404")
MISSING_PIPELINE_CODES = ("ResourceNotFound", "ResourceNotFoundException", "ValidationException")

logger = Logger(service="render_buildspec")
config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
s3 = boto3.client("s3", config=config)
sagemaker = boto3.client("sagemaker", config=config)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, str]:
    """Render the buildspec of the run in the event.

    Returns:
        ``status`` (``Rendered``, ``RenderedAgain`` or ``AlreadyRendered``), ``run_id`` and ``key``.

    Raises:
        EventError: the event, the manifest or the code bundle is invalid or missing.
    """
    run = prepared_run(event, PREPARED_PREFIX)
    logger.append_keys(run_id=run.run_id)
    manifest_run_id = check_manifest(_read_manifest(run), f"s3://{run.bucket}/{run.manifest_key}")
    if manifest_run_id != run.run_id:
        logger.warning(
            "the run is a copy: its manifest has another run id", extra={"manifest_run_id": manifest_run_id}
        )
    key = f"{BUILDSPECS_PREFIX}{run.run_id}.yml"
    status = _write(run, key, render(TEMPLATE, run.run_id, _code_version()))
    logger.info(status, extra={"key": key})
    return {"status": status, "run_id": run.run_id, "key": key}


def _read_manifest(run: PreparedRun) -> bytes:
    try:
        return s3.get_object(Bucket=run.bucket, Key=run.manifest_key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in MISSING_OBJECT_CODES:
            raise EventError(f"s3://{run.bucket}/{run.manifest_key}: no such object") from None
        raise


def _code_version() -> str | None:
    try:
        return s3.head_object(Bucket=ARTIFACTS_BUCKET, Key=CODE_BUNDLE_KEY).get("VersionId")
    except ClientError as error:
        if error.response["Error"]["Code"] in MISSING_OBJECT_CODES:
            raise EventError(f"s3://{ARTIFACTS_BUCKET}/{CODE_BUNDLE_KEY}: no such object") from None
        raise


def _write(run: PreparedRun, key: str, text: str) -> str:
    """Write the first buildspec of a run, or the next one for a wanted repeat; returns the status."""
    if _put(key, text, IfNoneMatch="*"):
        return "Rendered"
    existing = s3.head_object(Bucket=ARTIFACTS_BUCKET, Key=key)
    # Events of writes before the existing buildspec are duplicates, or were delivered late.
    if run.completed_at <= existing["LastModified"] or not _may_start_again(run.run_id):
        return "AlreadyRendered"
    return "RenderedAgain" if _put(key, text, IfMatch=existing["ETag"]) else "AlreadyRendered"


def _put(key: str, text: str, **condition: str) -> bool:
    """Put a buildspec on a condition; returns whether the condition was met."""
    try:
        s3.put_object(
            Bucket=ARTIFACTS_BUCKET,
            Key=key,
            Body=text.encode(),
            ContentType="application/yaml",
            **condition,
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
        return False
    return True


def _may_start_again(run_id: str) -> bool:
    """Whether the newest pipeline execution of the run failed or was stopped, or there is none."""
    pages = sagemaker.get_paginator("list_pipeline_executions").paginate(
        PipelineName=PIPELINE_NAME, SortBy="CreationTime", SortOrder="Descending"
    )
    try:
        for page in pages:
            for summary in page["PipelineExecutionSummaries"]:
                if summary.get("PipelineExecutionDisplayName") == execution_name(run_id):
                    return is_repeatable(summary["PipelineExecutionStatus"])
    except ClientError as error:
        if error.response["Error"]["Code"] not in MISSING_PIPELINE_CODES:
            raise
    return True
