"""Local copies of the S3 prefixes of a step: downloaded before it, and kept equal to S3 while it runs.

A file is an object, with its event, as soon as the step has closed or renamed it, in the order of the step's
writes; a deletion deletes the object. Files below ``_temporary`` are none: EMR's committer writes them as
multipart uploads, which become objects when the job commits (EMR release guide, "Using the EMRFS S3-optimized
committer"). A file that is deleted within milliseconds can be missed.

The step's ``s3://`` paths do not change: Hadoop's ViewFileSystemOverloadScheme mounts the local folders at
these paths (Hadoop guide, "View File System Overload Scheme"). Each first-level prefix of a bucket is one
mount: a mount of the bucket's root lists wrong paths in Hadoop 3.3.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emulator.services.emr.inotify import Change, TreeWatch

MARKER = "_SUCCESS"
UNCOMMITTED = "_temporary"  # folder of Hadoop's FileOutputCommitter
WATCH_INTERVAL_S = 0.2
SCHEMES = ("s3://", "s3a://", "s3n://")
# Without checksum files, which S3 does not have and which fail on a name with a colon.
_LOCAL_FILES = "org.apache.hadoop.fs.RawLocalFileSystem"


class S3Mirror:
    """Local copies of the prefixes in a step's arguments."""

    def __init__(self, s3: Any, folder: Path) -> None:
        self._s3 = s3
        self._folder = folder
        self._known: dict[tuple[str, str], tuple[int, int]] = {}  # (bucket, key): (size, modified in ns)
        self._mounts: set[tuple[str, str]] = set()  # (bucket, first level)

    def download(self, uris: Iterable[str]) -> int:
        """Copy the objects at and below the URIs; returns the number of objects.

        Raises:
            botocore.exceptions.ClientError: a bucket does not exist.
        """
        for uri in uris:
            bucket, key = split_uri(uri)
            objects = list(self._objects(bucket, key))
            if key and key not in objects:  # a folder, which may be one that the step will create
                self._mount(bucket, key.split("/")[0], is_object=False)
            for found in objects:
                self._download_object(bucket, found)
        return len(self._known)

    @property
    def size_bytes(self) -> int:
        """Total size of the downloaded objects."""
        return sum(size for size, _ in self._known.values())

    def download_file(self, uri: str, folder: Path) -> Path:
        """Copy one object to a folder, under the last part of its key."""
        bucket, key = split_uri(uri)
        path = folder / key.rsplit("/", 1)[-1]
        path.write_bytes(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        return path

    @contextmanager
    def following(self, on_upload: Callable[[str], None]) -> Iterator[None]:
        """Context in which changes of the files are changes of the objects.

        Its end waits for the changes that were made before.

        Args:
            on_upload: called with the URI of each uploaded object.

        Raises:
            botocore.exceptions.ClientError: S3 refused a change.
        """
        watch, ended, errors = TreeWatch(self._folder), threading.Event(), []

        def follow() -> None:
            try:
                last = False
                while not last:
                    last = ended.is_set()
                    for change in watch.wait(0 if last else WATCH_INTERVAL_S):
                        self._apply(change, on_upload)
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=follow, name="s3-mirror", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            watch.close()
        if errors:
            raise errors[0]

    def _apply(self, change: Change, on_upload: Callable[[str], None]) -> None:
        """Upload a file that was written, or delete the objects of a file or folder that is gone."""
        bucket, key = self._address(change.path)
        if change.kind == "gone":
            gone = [known for known in self._known if _is_at_or_below(known, (bucket, key))]
            for known in gone:
                if not self._path(known).exists():  # it may have been written again
                    self._s3.delete_object(Bucket=known[0], Key=known[1])
                    del self._known[known]
        elif _is_object(change.path) and self._upload(bucket, key):
            on_upload(f"s3://{bucket}/{key}")

    def _upload(self, bucket: str, key: str) -> bool:
        """Upload a file that differs from its object; False for one that does not, or that is gone."""
        path = self._path((bucket, key))
        try:
            fingerprint = _fingerprint(path)
            if self._known.get((bucket, key)) == fingerprint:
                return False
            with path.open("rb") as body:
                self._s3.put_object(Bucket=bucket, Key=key, Body=body)
        except FileNotFoundError:
            return False
        self._known[bucket, key] = fingerprint
        return True

    def upload(self) -> list[str]:
        """Upload what `following` has not: nothing, unless the system lost notifications.

        Returns:
            The uploaded URIs, markers last.
        """
        present = {self._address(path): path for path in self._files()}
        for bucket, key in self._known.keys() - present.keys():
            self._s3.delete_object(Bucket=bucket, Key=key)
        changed = [
            address for address, path in present.items() if self._known.get(address) != _fingerprint(path)
        ]
        changed.sort(key=_upload_order)
        return [f"s3://{bucket}/{key}" for bucket, key in changed if self._upload(bucket, key)]

    def hadoop_settings(self) -> dict[str, str]:
        """Hadoop properties with the mounts."""
        # A rename from one mount to another, as between prefixes of S3.
        properties = {
            "fs.viewfs.rename.strategy": "SAME_FILESYSTEM_ACROSS_MOUNTPOINT",
            "fs.file.impl": _LOCAL_FILES,
        }
        for scheme in (name.removesuffix("://") for name in SCHEMES):
            properties[f"fs.{scheme}.impl"] = "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme"
            properties[f"fs.viewfs.overload.scheme.target.{scheme}.impl"] = _LOCAL_FILES
        for bucket, top in sorted(self._mounts):
            target = (self._folder / bucket / top).as_uri()
            properties[f"fs.viewfs.mounttable.{bucket}.link./{top}"] = target
        return properties

    def _objects(self, bucket: str, key: str) -> Iterator[str]:
        """Keys of the object itself and of those below it; for ``a/b`` not ``a/b2``."""
        below = f"{key.rstrip('/')}/" if key else ""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key.rstrip("/"))
        for page in pages:
            for found in page.get("Contents", []):
                if found["Key"] == key or found["Key"].startswith(below):
                    yield found["Key"]

    def _download_object(self, bucket: str, key: str) -> None:
        self._mount(bucket, key.split("/", maxsplit=1)[0], is_object="/" not in key)
        if key.endswith("/"):  # a folder marker of the S3 console
            return
        path = self._folder / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        self._known[bucket, key] = _fingerprint(path)

    def _mount(self, bucket: str, top: str, *, is_object: bool) -> None:
        self._mounts.add((bucket, top))
        if not is_object:
            (self._folder / bucket / top).mkdir(parents=True, exist_ok=True)

    def _files(self) -> Iterator[Path]:
        """All files that are objects."""
        for path in self._folder.rglob("*"):
            if path.is_file() and _is_object(path):
                yield path

    def _path(self, address: tuple[str, str]) -> Path:
        return self._folder.joinpath(*address)

    def _address(self, path: Path) -> tuple[str, str]:
        bucket, _, key = path.relative_to(self._folder).as_posix().partition("/")
        return bucket, key


def _is_object(path: Path) -> bool:
    """Whether a file is an object: no checksum of Hadoop's local file system, no uncommitted output."""
    return not (path.name.startswith(".") and path.name.endswith(".crc")) and UNCOMMITTED not in path.parts


def _is_at_or_below(address: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether an object is at an address, or below it as a folder."""
    return address[0] == other[0] and f"{address[1]}/".startswith(f"{other[1]}/")


def is_s3(value: str) -> bool:
    """Whether an argument is an S3 URI."""
    return value.startswith(SCHEMES)


def split_uri(uri: str) -> tuple[str, str]:
    """(bucket, key) of an S3 URI."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def _upload_order(address: tuple[str, str]) -> tuple[bool, int, tuple[str, str]]:
    """Markers after all other files, and the outermost marker last: it means that the run is complete."""
    key = address[1]
    is_marker = key.rsplit("/", 1)[-1] == MARKER
    return is_marker, -key.count("/") if is_marker else 0, address


def _fingerprint(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
