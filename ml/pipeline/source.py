"""Source code of a run's jobs: one version of the code bundle, unpacked into S3 for the jobs."""

from __future__ import annotations

import io
import zipfile
from pathlib import PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from ml import contract
from ml.pipeline.environment import PipelineStage, Run

PACKAGE = "ml"  # the package of the bundle that the jobs import
ENTRY_POINTS = ("ml/ncf/jobs/train.py", "ml/ncf/jobs/evaluate.py")
MAX_BUNDLE_BYTES = 64 << 20  # the bundle is source code: a larger one is a mistake
MISSING = ("NoSuchKey", "NoSuchVersion", "NoSuchBucket", "404")


class SourceError(ValueError):
    """The code version does not exist, or is not a bundle of this project."""


def publish_source(s3: Any, stage: PipelineStage, run: Run) -> int:
    """Unpack the run's code version into the run's source folder and return the number of files.

    Idempotent: an object version does not change, so a second call writes the same objects.

    Raises:
        SourceError: the version does not exist, is not a zip archive, is too large or lacks an entry point.
    """
    where = f"s3://{stage.artifacts_bucket}/{contract.CODE_BUNDLE_KEY} at version {run.code_version}"
    files = package_files(_download(s3, stage, run, where), where)
    for name, content in files.items():
        s3.put_object(
            Bucket=stage.artifacts_bucket,
            Key=f"{run.source_prefix}{name}",
            Body=content,
            ServerSideEncryption="aws:kms",
            SSEKMSKeyId=stage.kms_key_arn,
        )
    return len(files)


def package_files(bundle: bytes, where: str, max_bytes: int = MAX_BUNDLE_BYTES) -> dict[str, bytes]:
    """The files of the ``ml`` package in a bundle, by path.

    Args:
        bundle: a zip archive.
        where: name of the bundle in errors.
        max_bytes: limit on the unpacked size.

    Raises:
        SourceError: not a zip archive, too large, or an entry point is missing.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(bundle))
    except zipfile.BadZipFile:
        raise SourceError(f"{where}: not a zip archive") from None
    members = [
        member for member in archive.infolist() if not member.is_dir() and _in_package(member.filename)
    ]
    if sum(member.file_size for member in members) > max_bytes:
        raise SourceError(f"{where}: larger than {max_bytes} bytes when unpacked")
    files = {member.filename: archive.read(member) for member in members}
    for entry_point in ENTRY_POINTS:
        if entry_point not in files:
            raise SourceError(f"{where}: {entry_point} is missing")
    return files


def _in_package(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return parts[:1] == (PACKAGE,) and ".." not in parts


def _download(s3: Any, stage: PipelineStage, run: Run, where: str) -> bytes:
    try:
        bundle = s3.get_object(
            Bucket=stage.artifacts_bucket, Key=contract.CODE_BUNDLE_KEY, VersionId=run.code_version
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in MISSING or "Invalid version" in str(error):
            raise SourceError(f"{where}: no such object version") from None
        raise
    if bundle["ContentLength"] > MAX_BUNDLE_BYTES:
        raise SourceError(f"{where}: larger than {MAX_BUNDLE_BYTES} bytes")
    return bundle["Body"].read()
