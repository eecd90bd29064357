"""Copies between S3 and local folders, for jobs and endpoints."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError


class S3FilesError(Exception):
    """S3 refused a request, or an object's content is not valid; the message names the URI."""


def split_uri(uri: str) -> tuple[str, str]:
    """(bucket, key or prefix) of ``s3://bucket/key``.

    Raises:
        S3FilesError: it is not an S3 URI.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise S3FilesError(f"{uri!r} is not an S3 URI")
    return bucket, key


def join_uri(*parts: str) -> str:
    """Join the parts of an S3 URI with single slashes."""
    head, *rest = parts
    return "/".join([head.rstrip("/"), *(part.strip("/") for part in rest)])


class S3Files:
    """Downloads and uploads of SageMaker's containers."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def download_prefix(self, uri: str, folder: Path) -> int:
        """Copy every object under an S3Prefix into a folder; returns the number of objects.

        A file's name in the folder is the part of the key after the prefix; for a prefix that ends inside a
        name (a single file, for instance) it is the part after the prefix's last slash.

        Raises:
            S3FilesError: no bucket, no object under the prefix, or a key with a path outside the folder.
        """
        bucket, prefix = split_uri(uri)
        folder.mkdir(parents=True, exist_ok=True)
        count = 0
        for key in self._keys(bucket, prefix, uri):
            self._download(bucket, key, _inside(folder, _name_below(prefix, key), uri))
            count += 1
        if not count:
            raise S3FilesError(f'No S3 objects found under S3 URL "{uri}" given in input data source')
        return count

    def download_file(self, uri: str, path: Path) -> None:
        """Copy one object to a file.

        Raises:
            S3FilesError: the object does not exist.
        """
        bucket, key = split_uri(uri)
        self._download(bucket, key, path)

    def count(self, uri: str) -> int:
        """Number of objects under a prefix.

        Raises:
            S3FilesError: the bucket does not exist.
        """
        return sum(1 for _ in self._keys(*split_uri(uri), uri))

    def read_text(self, uri: str) -> str:
        """Text of an object.

        Raises:
            S3FilesError: the object does not exist, or is not UTF-8.
        """
        bucket, key = split_uri(uri)
        try:
            return str(self._client.get_object(Bucket=bucket, Key=key)["Body"].read(), "utf-8")
        except ClientError as error:
            raise S3FilesError(f"{uri}: {error.response['Error']['Message']}") from error
        except UnicodeDecodeError as error:
            raise S3FilesError(f"{uri}: not UTF-8: {error}") from error

    def read_json(self, uri: str) -> Any:
        """JSON document in an object.

        Raises:
            S3FilesError: the object does not exist, or is not JSON.
        """
        try:
            return json.loads(self.read_text(uri), parse_constant=_refuse_constant)
        except ValueError as error:
            raise S3FilesError(f"{uri}: not JSON: {error}") from error

    def upload_file(self, path: Path, uri: str, kms_key_id: str | None = None) -> None:
        """Copy a file to an object.

        Raises:
            S3FilesError: S3 refused it.
        """
        bucket, key = split_uri(uri)
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id} if kms_key_id else {}
        try:
            with path.open("rb") as body:
                self._client.put_object(Bucket=bucket, Key=key, Body=body, **encryption)
        except ClientError as error:
            raise S3FilesError(f"{uri}: {error.response['Error']['Message']}") from error

    def upload_folder(self, folder: Path, uri: str, kms_key_id: str | None = None) -> None:
        """Copy every file of a folder under a prefix.

        Raises:
            S3FilesError: S3 refused one.
        """
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            self.upload_file(path, join_uri(uri, path.relative_to(folder).as_posix()), kms_key_id)

    def _keys(self, bucket: str, prefix: str, uri: str) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        try:
            for page in pages:
                for item in page.get("Contents", []):
                    if not item["Key"].endswith("/"):  # a folder marker of the S3 console
                        yield item["Key"]
        except ClientError as error:
            raise S3FilesError(f"{uri}: {error.response['Error']['Message']}") from error

    def _download(self, bucket: str, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            body = self._client.get_object(Bucket=bucket, Key=key)["Body"]
        except ClientError as error:
            raise S3FilesError(f"s3://{bucket}/{key}: {error.response['Error']['Message']}") from error
        with path.open("wb") as file:
            shutil.copyfileobj(body, file)


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(f"{name} is not a JSON value")


def pack(folder: Path, archive: Path) -> None:
    """Write a folder's content to a ``.tar.gz`` archive."""
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name)


def unpack(archive: Path, folder: Path) -> None:
    """Extract a ``.tar.gz`` archive; members with a path outside the folder are refused.

    Raises:
        S3FilesError: the archive is not valid.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise S3FilesError(f"{archive.name}: not a tar.gz archive: {error}") from error


def _name_below(prefix: str, key: str) -> str:
    rest = key.removeprefix(prefix)
    if not prefix or prefix.endswith("/"):
        return rest
    return rest[1:] if rest.startswith("/") else key[prefix.rfind("/") + 1 :]


def _inside(folder: Path, name: str, uri: str) -> Path:
    if ".." in PurePosixPath(name).parts or name.startswith("/"):
        raise S3FilesError(f"{uri}: the key {name!r} has a path outside the folder")
    return folder / name
