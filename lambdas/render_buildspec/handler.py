"""Renders the buildspec of a run when its ``_SUCCESS`` arrives.

Takes the S3 event "Object Created" of ``<PREPARED_PREFIX>run=<run_id>/_SUCCESS`` from EventBridge,
checks the run's manifest, pins the code bundle's current version and writes
``<BUILDSPECS_PREFIX><run_id>.yml`` unless it exists: events come at least once, a buildspec is
written once and never changed.

Environment:
    ARTIFACTS_BUCKET: where the code bundle lies and buildspecs go.
    CODE_BUNDLE_KEY: the code bundle's key, such as ``code/source.zip``.
    BUILDSPECS_PREFIX: below which buildspecs go, such as ``buildspecs/``.
    PREPARED_PREFIX: below which runs lie in the event's bucket, such as ``prepared/``.
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
from logic import InputError, PreparedRun, check_manifest, prepared_run, render

ARTIFACTS_BUCKET = os.environ["ARTIFACTS_BUCKET"]
CODE_BUNDLE_KEY = os.environ["CODE_BUNDLE_KEY"]
BUILDSPECS_PREFIX = os.environ["BUILDSPECS_PREFIX"]
PREPARED_PREFIX = os.environ["PREPARED_PREFIX"]
TEMPLATE = (Path(__file__).parent / "buildspec.yml.template").read_text(encoding="utf-8")
NOT_THERE = ("NoSuchKey", "NoSuchBucket", "404")

logger = Logger(service="render_buildspec")
s3 = boto3.client(
    "s3",
    config=Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}),
)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, str]:
    """Render the event's run.

    Returns:
        ``status`` (``Rendered`` or ``AlreadyRendered``), ``run_id`` and ``key``.

    Raises:
        InputError: the event, the manifest or the code bundle is not what it must be.
    """
    run = prepared_run(event, PREPARED_PREFIX)
    logger.append_keys(run_id=run.run_id)
    stated = check_manifest(_read_manifest(run), f"s3://{run.bucket}/{run.manifest_key}")
    if stated != run.run_id:
        logger.warning("the manifest is of another run: a copy", extra={"manifest_run_id": stated})
    key = f"{BUILDSPECS_PREFIX}{run.run_id}.yml"
    status = _write_once(key, render(TEMPLATE, run.run_id, _code_version()))
    logger.info(status, extra={"key": key})
    return {"status": status, "run_id": run.run_id, "key": key}


def _read_manifest(run: PreparedRun) -> bytes:
    try:
        return s3.get_object(Bucket=run.bucket, Key=run.manifest_key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in NOT_THERE:
            raise InputError(f"s3://{run.bucket}/{run.manifest_key}: not there") from None
        raise


def _code_version() -> str | None:
    try:
        return s3.head_object(Bucket=ARTIFACTS_BUCKET, Key=CODE_BUNDLE_KEY).get("VersionId")
    except ClientError as error:
        if error.response["Error"]["Code"] in NOT_THERE:
            raise InputError(f"s3://{ARTIFACTS_BUCKET}/{CODE_BUNDLE_KEY}: not there") from None
        raise


def _write_once(key: str, text: str) -> str:
    try:
        s3.put_object(
            Bucket=ARTIFACTS_BUCKET,
            Key=key,
            Body=text.encode(),
            ContentType="application/yaml",
            IfNoneMatch="*",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
        return "AlreadyRendered"
    return "Rendered"
