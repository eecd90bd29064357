"""Fake S3 client with the two operations that the functions call."""

from __future__ import annotations

import io
from typing import Any

from botocore.exceptions import ClientError


class FakeS3:
    """Objects by bucket and key.

    Attributes:
        objects: contents.
        failure: exception that every operation raises.
        n_reads: number of GetObject calls.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.failure: Exception | None = None
        self.n_reads = 0

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 (names of the API)
        self.n_reads += 1
        if self.failure is not None:
            raise self.failure
        if (Bucket, Key) not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "no such key"}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[Bucket, Key])}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, **_: str) -> None:  # noqa: N803
        if self.failure is not None:
            raise self.failure
        self.objects[Bucket, Key] = Body
