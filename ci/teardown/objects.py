"""Objects of the buckets: every version, delete marker and incomplete multipart upload."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from ci.teardown.calls import is_missing
from ci.teardown.leftover import Leftover

MAX_KEYS = 1000  # S3 API, DeleteObjects


class DeletionError(RuntimeError):
    """S3 refused to delete an object."""


def contents(s3: Any, bucket: str) -> Iterator[Leftover]:
    """The content of one bucket; nothing for an empty or a deleted one."""
    try:
        n_bytes = n_versions = n_markers = 0
        for page in _version_pages(s3, bucket):
            n_versions += len(page.get("Versions", []))
            n_markers += len(page.get("DeleteMarkers", []))
            n_bytes += sum(version["Size"] for version in page.get("Versions", []))
        n_uploads = len(_uploads(s3, bucket))
    except ClientError as error:
        if not is_missing(error):
            raise
        return
    if n_versions or n_markers or n_uploads:
        counts = f"{n_versions} versions ({n_bytes / 2**20:.1f} MiB), {n_markers} delete markers"
        name = f"s3://{bucket}: {counts}, {n_uploads} incomplete uploads"
        yield Leftover("objects", name, partial(empty, s3, bucket))


def empty(s3: Any, bucket: str) -> None:
    """Delete everything in a bucket.

    Raises:
        DeletionError: S3 refused to delete an object.
    """
    for upload in _uploads(s3, bucket):
        s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in _version_pages(s3, bucket):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        versions = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
        for first in range(0, len(versions), MAX_KEYS):
            request = {"Objects": versions[first : first + MAX_KEYS], "Quiet": True}
            answer = s3.delete_objects(Bucket=bucket, Delete=request)
            if errors := answer.get("Errors"):
                raise DeletionError(f"s3://{bucket}/{errors[0]['Key']}: {errors[0]['Message']}")


def _version_pages(s3: Any, bucket: str) -> Iterator[dict[str, Any]]:
    yield from s3.get_paginator("list_object_versions").paginate(Bucket=bucket)


def _uploads(s3: Any, bucket: str) -> list[dict[str, Any]]:
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket)
    return [upload for page in pages for upload in page.get("Uploads", [])]
