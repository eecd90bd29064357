"""Manifest of the prepared run that a build trains on."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from ml import contract
from ml.manifest import Manifest, ManifestError, parse
from ml.pipeline.environment import PipelineStage, Run


def read_manifest(s3: Any, stage: PipelineStage, run: Run) -> Manifest:
    """The manifest of a complete run, which is one with a ``_SUCCESS`` object.

    Raises:
        ManifestError: either object is missing, or the manifest is not valid; the message begins with the
            object's URI.
    """
    _read(s3, stage, f"{run.data_prefix}{contract.SUCCESS_FILE}")
    key = f"{run.data_prefix}{contract.MANIFEST_FILE}"
    content = _read(s3, stage, key)
    try:
        return parse(content.decode("utf-8", errors="replace"))
    except ManifestError as error:
        raise ManifestError(f"s3://{stage.data_bucket}/{key}: {error}") from None


def _read(s3: Any, stage: PipelineStage, key: str) -> bytes:
    try:
        return s3.get_object(Bucket=stage.data_bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket"):
            raise ManifestError(f"s3://{stage.data_bucket}/{key}: no such object") from None
        raise
