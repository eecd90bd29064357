"""Permissions of S3's operations on objects, and of KMS for encrypted objects.

S3 user guide, "Required permissions for Amazon S3 API operations" and "Using server-side encryption with AWS
KMS keys": S3 calls KMS with the permissions of its caller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from emulator import moto_state
from emulator.authorization.conditions import Context
from emulator.authorization.needs import Need, NeedsOf
from emulator.authorization.operations import CalledOperation
from emulator.authorization.resources import Place

DECRYPT, GENERATE_DATA_KEY = "kms:Decrypt", "kms:GenerateDataKey"
# Parameters that are condition keys of object operations.
CONDITION_KEYS: Mapping[str, str] = {
    "ACL": "s3:x-amz-acl",
    "Delimiter": "s3:delimiter",
    "MaxKeys": "s3:max-keys",
    "Prefix": "s3:prefix",
    "SSEKMSKeyId": "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "ServerSideEncryption": "s3:x-amz-server-side-encryption",
    "StorageClass": "s3:x-amz-storage-class",
    "VersionId": "s3:VersionId",
}


class S3Request:
    """Bucket, key and condition keys of one request."""

    def __init__(self, operation: CalledOperation, place: Place) -> None:
        self.parameters = operation.parameters
        self.place = place
        self.bucket = str(self.parameters.get("Bucket", ""))
        self.key = str(self.parameters.get("Key", ""))

    @property
    def context(self) -> Context:
        """Condition keys."""
        found = {key: self.parameters.get(name) for name, key in CONDITION_KEYS.items()}
        return {key: str(value) for key, value in found.items() if value not in (None, "")}

    def on_object(self, action: str) -> Need:
        """Need of an action on the request's object."""
        return Need(action, object_arn(self.place, self.bucket, self.key), self.context)

    def on_bucket(self, action: str) -> Need:
        """Need of an action on the request's bucket."""
        return Need(action, bucket_arn(self.place, self.bucket), self.context)

    def kms(self, *actions: str, key_id: str, bucket: str, key: str, bucket_key: bool) -> Iterator[Need]:
        """Needs of KMS for one object; with a bucket key the encryption context is the bucket's ARN."""
        if not key_id:
            return
        place = self.place
        arn = bucket_arn(place, bucket) if bucket_key else object_arn(place, bucket, key)
        context = {
            "kms:ViaService": f"s3.{place.region}.amazonaws.com",
            "kms:EncryptionContext:aws:s3:arn": arn,
            "kms:EncryptionContextKeys": ["aws:s3:arn"],
            "kms:CallerAccount": place.account_id,
        }
        for action in actions:
            yield Need(action, key_arn(place, key_id), context)

    def kms_of_stored(self, bucket: str, key: str, version: str | None) -> Iterator[Need]:
        """Permission to decrypt a stored object."""
        found = stored_object(bucket, key, version)
        if found is not None and found.encryption == "aws:kms":
            bucket_key = str(found.bucket_key_enabled).lower() == "true"
            yield from self.kms(
                DECRYPT, key_id=found.kms_key_id or "", bucket=bucket, key=key, bucket_key=bucket_key
            )

    def kms_of_new(self, *actions: str) -> Iterator[Need]:
        """Permissions to encrypt a new object, by the request or else the bucket's default encryption."""
        rule = _default_encryption(self.bucket)
        default = rule.get("ApplyServerSideEncryptionByDefault", {})
        algorithm = self.parameters.get("ServerSideEncryption") or default.get("SSEAlgorithm")
        if algorithm != "aws:kms":
            return
        key_id = self.parameters.get("SSEKMSKeyId") or default.get("KMSMasterKeyID") or ""
        enabled = self.parameters.get("BucketKeyEnabled", rule.get("BucketKeyEnabled", False))
        bucket_key = str(enabled).lower() == "true"
        yield from self.kms(
            *actions, key_id=str(key_id), bucket=self.bucket, key=self.key, bucket_key=bucket_key
        )


def get_object(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """GetObject and HeadObject; a version needs s3:GetObjectVersion instead of s3:GetObject."""
    request = S3Request(operation, place)
    version = request.parameters.get("VersionId")
    yield request.on_object("s3:GetObjectVersion" if version else "s3:GetObject")
    if operation.name == "GetObject":
        yield from request.kms_of_stored(request.bucket, request.key, version)


def put_object(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """PutObject."""
    request = S3Request(operation, place)
    yield request.on_object("s3:PutObject")
    if request.parameters.get("IfMatch"):  # S3 compares the ETag of the stored object
        yield request.on_object("s3:GetObject")
    if request.parameters.get("Tagging"):
        yield request.on_object("s3:PutObjectTagging")
    if request.parameters.get("ACL"):
        yield request.on_object("s3:PutObjectAcl")
    yield from request.kms_of_new(GENERATE_DATA_KEY)


def multipart(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """Create, parts and completion of a multipart upload; S3 decrypts parts to assemble them."""
    request = S3Request(operation, place)
    yield request.on_object("s3:PutObject")
    yield from request.kms_of_new(GENERATE_DATA_KEY, DECRYPT)


def copy_object(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """CopyObject and UploadPartCopy: read the source, write the target."""
    request = S3Request(operation, place)
    bucket, key, version = copy_source(request.parameters["CopySource"])
    action = "s3:GetObjectVersion" if version else "s3:GetObject"
    yield Need(action, object_arn(place, bucket, key))
    yield from request.kms_of_stored(bucket, key, version)
    yield from put_object(operation, place) if operation.name == "CopyObject" else multipart(operation, place)


def delete_objects(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """DeleteObject and DeleteObjects."""
    request = S3Request(operation, place)
    listed = request.parameters.get("Delete", {}).get("Objects") or [dict(request.parameters)]
    for item in listed:
        action = "s3:DeleteObjectVersion" if item.get("VersionId") else "s3:DeleteObject"
        yield Need(action, object_arn(place, request.bucket, str(item["Key"])), request.context)


def _on_object(action: str) -> NeedsOf:
    return lambda operation, place: iter([S3Request(operation, place).on_object(action)])


def _on_bucket(action: str) -> NeedsOf:
    return lambda operation, place: iter([S3Request(operation, place).on_bucket(action)])


# Actions on a bucket's settings whose names differ from the operations (service authorization reference).
BUCKET_ACTIONS: Mapping[str, str] = {
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}
S3_NEEDS: Mapping[str, NeedsOf] = {
    "GetObject": get_object,
    "HeadObject": get_object,
    "GetObjectAttributes": get_object,
    "PutObject": put_object,
    "CopyObject": copy_object,
    "UploadPartCopy": copy_object,
    "CreateMultipartUpload": multipart,
    "UploadPart": multipart,
    "CompleteMultipartUpload": multipart,
    "AbortMultipartUpload": _on_object("s3:AbortMultipartUpload"),
    "ListParts": _on_object("s3:ListMultipartUploadParts"),
    "DeleteObject": delete_objects,
    "DeleteObjects": delete_objects,
    "GetObjectTagging": _on_object("s3:GetObjectTagging"),
    "PutObjectTagging": _on_object("s3:PutObjectTagging"),
    "HeadBucket": _on_bucket("s3:ListBucket"),
    "ListObjects": _on_bucket("s3:ListBucket"),
    "ListObjectsV2": _on_bucket("s3:ListBucket"),
    "ListObjectVersions": _on_bucket("s3:ListBucketVersions"),
    "ListMultipartUploads": _on_bucket("s3:ListBucketMultipartUploads"),
    "GetBucketLocation": _on_bucket("s3:GetBucketLocation"),
    "GetBucketAcl": _on_bucket("s3:GetBucketAcl"),
    "GetBucketVersioning": _on_bucket("s3:GetBucketVersioning"),
    **{operation: _on_bucket(f"s3:{action}") for operation, action in BUCKET_ACTIONS.items()},
    "ListBuckets": lambda _operation, _place: iter([Need("s3:ListAllMyBuckets")]),
}


def bucket_arn(place: Place, bucket: str) -> str:
    """ARN of a bucket."""
    return f"arn:{place.partition}:s3:::{bucket}"


def object_arn(place: Place, bucket: str, key: str) -> str:
    """ARN of an object."""
    return f"arn:{place.partition}:s3:::{bucket}/{key}"


def key_arn(place: Place, key_id: str) -> str:
    """ARN of a KMS key from its ARN, id or alias."""
    if key_id.startswith("arn:") and ":alias/" not in key_id:
        return key_id
    backend = moto_state.backend("kms", place.region)
    found = backend.get_key_id_from_alias(key_id.partition(":key/")[2] or key_id) or key_id
    return f"arn:{place.partition}:kms:{place.region}:{place.account_id}:key/{found}"


def copy_source(source: Any) -> tuple[str, str, str | None]:
    """(bucket, key, version) of a CopySource, ``bucket/key?versionId=…``."""
    path, _, version = str(source).partition("?versionId=")
    bucket, _, key = unquote(path.removeprefix("/")).partition("/")
    return bucket, key, version or None


def stored_object(bucket: str, key: str, version: str | None = None) -> Any:
    """moto's object; None if it does not exist."""
    found = moto_state.find_bucket(bucket)
    if found is None:
        return None
    versions = found.keys.getlist(key, [])
    if version:
        return next((item for item in versions if str(item.version_id) == version), None)
    newest = versions[-1] if versions else None
    return newest if hasattr(newest, "encryption") else None  # not a delete marker


def _default_encryption(bucket: str) -> Mapping[str, Any]:
    found = moto_state.find_bucket(bucket)
    rule: Mapping[str, Any] = (found.encryption or {}).get("Rule", {}) if found is not None else {}
    return rule
