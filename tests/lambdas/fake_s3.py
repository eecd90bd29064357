"""Fake S3 client with the operations that the functions call."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError


class FakeS3:
    """Objects by bucket and key.

    Attributes:
        objects: contents.
        modified: times of the last writes.
        failure: exception that every operation raises.
        n_reads: number of GetObject calls.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.modified: dict[tuple[str, str], datetime] = {}
        self.failure: Exception | None = None
        self.n_reads = 0

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 (names of the API)
        self.n_reads += 1
        if self.failure is not None:
            raise self.failure
        if (Bucket, Key) not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "no such key"}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[Bucket, Key])}

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        if (Bucket, Key) not in self.objects:
            raise ClientError({"Error": {"Code": "404", "Message": "Not Found"}}, "HeadObject")
        return {"ETag": self._etag(Bucket, Key), "LastModified": self.modified[Bucket, Key]}

    def put_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: bytes,  # noqa: N803
        IfMatch: str | None = None,  # noqa: N803
        IfNoneMatch: str | None = None,  # noqa: N803
        **_: str,
    ) -> None:
        if self.failure is not None:
            raise self.failure
        etag = self._etag(Bucket, Key)
        if (IfNoneMatch == "*" and etag) or (IfMatch is not None and etag != IfMatch):
            raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": "exists"}}, "PutObject")
        self.objects[Bucket, Key] = Body
        self.modified[Bucket, Key] = datetime.now(UTC)

    def delete_object(self, *, Bucket: str, Key: str) -> None:  # noqa: N803
        self.objects.pop((Bucket, Key), None)

    def _etag(self, bucket: str, key: str) -> str:
        """Empty: there is no such object."""
        content = self.objects.get((bucket, key))
        return "" if content is None else hashlib.md5(content, usedforsecurity=False).hexdigest()
