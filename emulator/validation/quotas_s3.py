"""Limits of buckets and objects of S3."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from emulator.validation.constraints import Violation
from emulator.wire import ServiceError

Parameters = Mapping[str, Any]
Check = Callable[[Parameters, str], Iterator[Violation]]

MAX_KEY_BYTES = 1_024  # S3 user guide, "Naming Amazon S3 objects"
MAX_METADATA_BYTES = 2_048  # S3 user guide, user-defined metadata
MAX_BUCKET_POLICY_BYTES = 20_480  # S3 user guide, "Bucket policies"
MAX_DELETED_KEYS = 1_000  # API reference, DeleteObjects
BUCKET_NAME = re.compile(r"(?!xn--|sthree-|\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def exceeded(parameters: Parameters) -> Iterator[Violation]:
    """Limits of keys and metadata, in every operation that has them."""
    if len(str(parameters.get("Key") or "").encode()) > MAX_KEY_BYTES:
        raise ServiceError("KeyTooLongError", "Your key is too long")
    metadata = parameters.get("Metadata") or {}
    if sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items()) > MAX_METADATA_BYTES:
        raise ServiceError(
            "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size"
        )
    yield from ()


def _bucket(parameters: Parameters, _region: str) -> Iterator[Violation]:
    if not BUCKET_NAME.fullmatch(str(parameters["Bucket"])):
        raise ServiceError("InvalidBucketName", "The specified bucket is not valid.")
    yield from ()


def _bucket_policy(parameters: Parameters, _region: str) -> Iterator[Violation]:
    if len(parameters.get("Policy") or b"") > MAX_BUCKET_POLICY_BYTES:
        raise ServiceError("MalformedPolicy", "Policy exceeds the maximum allowed document size.")
    yield from ()


def _deleted_objects(parameters: Parameters, _region: str) -> Iterator[Violation]:
    objects = parameters["Delete"]["Objects"]
    if len(objects) > MAX_DELETED_KEYS:
        text = f"Member must have length less than or equal to {MAX_DELETED_KEYS}"
        yield Violation("delete.objects", "length", text, None)


CHECKS: Mapping[tuple[str, str], tuple[Check, ...]] = {
    ("s3", "CreateBucket"): (_bucket,),
    ("s3", "DeleteObjects"): (_deleted_objects,),
    ("s3", "PutBucketPolicy"): (_bucket_policy,),
}
