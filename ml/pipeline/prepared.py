"""The prepared run that a build is for: whole, and as its manifest says."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from ml import contract
from ml.manifest import Manifest, ManifestError, parse
from ml.pipeline.environment import Run, Stage


def read_manifest(s3: Any, stage: Stage, run: Run) -> Manifest:
    """The manifest of a run whose ``_SUCCESS`` says that it is whole.

    Raises:
        ManifestError: either file is missing, or the manifest cannot be trusted; the message
            begins with the file's URI.
    """
    _read(s3, stage, f"{run.data_prefix}{contract.SUCCESS_FILE}")
    key = f"{run.data_prefix}{contract.MANIFEST_FILE}"
    content = _read(s3, stage, key)
    try:
        return parse(content.decode("utf-8", errors="replace"))
    except ManifestError as error:
        raise ManifestError(f"s3://{stage.data_bucket}/{key}: {error}") from None


def _read(s3: Any, stage: Stage, key: str) -> bytes:
    try:
        return s3.get_object(Bucket=stage.data_bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket"):
            raise ManifestError(f"s3://{stage.data_bucket}/{key}: not there") from None
        raise
