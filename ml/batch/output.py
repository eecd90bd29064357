"""Output of the batch recommendations in S3: numbered Parquet files, and a manifest that is written last."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from ml.contract import MANIFEST_FILE


class Output:
    """Files below a URI. A file exists only as a whole: PutObject is atomic."""

    def __init__(self, client: Any, uri: str) -> None:
        location = urlsplit(uri)
        self.uri = uri
        self._client = client
        self._bucket = location.netloc
        self._prefix = location.path.lstrip("/")

    def names(self) -> set[str]:
        """Names of the files that exist."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        return {key.removeprefix(self._prefix) for key in keys}

    def read(self, name: str) -> pa.Table:
        """A Parquet file."""
        body = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()
        return pq.read_table(io.BytesIO(body))

    def write(self, name: str, part: pa.Table) -> None:
        """Write a Parquet file; the same rows give the same bytes."""
        buffer = io.BytesIO()
        pq.write_table(part, buffer, compression="zstd")
        self._put(name, buffer.getvalue())

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest, which says that the output is complete."""
        self._put(MANIFEST_FILE, f"{json.dumps(manifest, indent=2, sort_keys=True)}\n".encode())

    def _put(self, name: str, content: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=content)


def part_name(number: int) -> str:
    """Name of a part."""
    return f"part-{number:05}.parquet"
