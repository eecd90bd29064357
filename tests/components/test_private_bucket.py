"""Private bucket: protective settings, lifecycle and permissions by prefix."""

import json
from typing import Any

import pytest

from components.iam import policy
from components.private_bucket import PrivateBucket, PrivateBucketArgs
from tests import pulumi_engine
from tests.pulumi_engine import Recording

KEY_ARN = "arn:aws:kms:ap-northeast-2:123456789012:key/key-1"
BUCKET_ARN = "arn:aws:s3:::things-1a2b3c"


def build(**overrides: Any) -> Recording:
    args = PrivateBucketArgs(**{"kms_key_arn": KEY_ARN, "protect": False, **overrides})
    return pulumi_engine.run(lambda: {"name": PrivateBucket("things", args).name})


def grants(*names_and_prefixes: tuple[str, ...]) -> list[dict[str, Any]]:
    def program() -> Any:
        bucket = PrivateBucket("things", PrivateBucketArgs(kms_key_arn=KEY_ARN, protect=False))
        return policy([getattr(bucket, name)(*prefix) for name, *prefix in names_and_prefixes])

    return json.loads(pulumi_engine.run(program).values)["Statement"]


def test_all_public_access_is_blocked() -> None:
    block = build().one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    settings = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert [block[setting] for setting in settings] == [True] * 4


def test_acls_are_disabled_and_plain_http_is_denied() -> None:
    done = build()
    ownership = done.one("aws:s3/bucketOwnershipControls:BucketOwnershipControls").inputs
    assert ownership["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    (statement,) = json.loads(done.one("aws:s3/bucketPolicy:BucketPolicy").inputs["policy"])["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Resource"] == [BUCKET_ARN, f"{BUCKET_ARN}/*"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_objects_are_encrypted_with_the_key_and_versioned() -> None:
    done = build()
    encryption = done.one(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    )
    (rule,) = encryption.inputs["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {
        "sseAlgorithm": "aws:kms",
        "kmsMasterKeyId": KEY_ARN,
    }
    versioning = done.one("aws:s3/bucketVersioning:BucketVersioning").inputs
    assert versioning["versioningConfiguration"] == {"status": "Enabled"}


def rules(**overrides: Any) -> list[dict[str, Any]]:
    kind = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    return build(**overrides).one(kind).inputs["rules"]


def test_noncurrent_versions_expire_and_objects_expire_by_prefix() -> None:
    versions, expiry = rules(expire_after_days={"prepared/": 30}, expire_noncurrent_after_days=7)
    assert versions["noncurrentVersionExpiration"] == {"noncurrentDays": 7}
    assert versions["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}
    assert "days" not in versions["expiration"]
    assert (expiry["filter"], expiry["expiration"]) == ({"prefix": "prepared/"}, {"days": 30})


def test_delete_markers_without_versions_are_deleted() -> None:
    (versions,) = rules()
    assert (versions["filter"], versions["expiration"]) == (
        {"prefix": ""},
        {"expiredObjectDeleteMarker": True},
    )


def test_temporary_files_are_deleted_with_their_versions_and_uploads() -> None:
    _, purge = rules(purge_after_days={"scratch/": 2}, expire_noncurrent_after_days=365)
    assert purge["filter"] == {"prefix": "scratch/"}
    assert purge["expiration"] == {"days": 2}
    assert purge["noncurrentVersionExpiration"] == {"noncurrentDays": 1}
    assert purge["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 1}


def test_events_are_sent_when_enabled() -> None:
    kind = "aws:s3/bucketNotification:BucketNotification"
    assert build().of(kind) == []
    assert build(sends_events=True).one(kind).inputs["eventbridge"] is True


def test_only_the_bucket_is_protected() -> None:
    assert [each.name for each in build(protect=True).resources if each.protect] == ["things"]
    assert not [each for each in build().resources if each.protect]


@pytest.mark.parametrize(
    "overrides",
    [
        {"expire_after_days": {"a/": 0}},
        {"purge_after_days": {"a/": 0}},
        {"expire_noncurrent_after_days": 0},
    ],
)
def test_expiry_below_one_day_is_refused(overrides: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="write a whole number from 1"):
        PrivateBucketArgs(kms_key_arn=KEY_ARN, protect=False, **overrides)


@pytest.mark.parametrize(
    ("grant", "actions"),
    [
        ("grant_read", ["s3:GetObject"]),
        ("grant_write", ["s3:PutObject"]),
        ("grant_abort_uploads", ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]),
        ("grant_delete", ["s3:DeleteObject"]),
    ],
)
def test_object_permissions_are_restricted_to_the_prefix(grant: str, actions: list[str]) -> None:
    (statement,) = grants((grant, "prepared/"))
    assert statement == {"Effect": "Allow", "Action": actions, "Resource": [f"{BUCKET_ARN}/prepared/*"]}


@pytest.mark.parametrize(
    ("grant", "action"),
    [("grant_read_object", "s3:GetObject"), ("grant_read_versions", "s3:GetObjectVersion")],
)
def test_permission_for_one_object_has_no_wildcard(grant: str, action: str) -> None:
    (statement,) = grants((grant, "code/source.zip"))
    assert statement == {
        "Effect": "Allow",
        "Action": [action],
        "Resource": [f"{BUCKET_ARN}/code/source.zip"],
    }


def test_list_permission_is_restricted_to_the_prefix() -> None:
    (statement,) = grants(("grant_list", "prepared/"))
    assert statement["Resource"] == [BUCKET_ARN]
    assert statement["Condition"] == {"StringLike": {"s3:prefix": ["prepared/*"]}}


def test_list_all_permission_has_no_condition() -> None:
    (statement,) = grants(("grant_list_all",))
    assert statement == {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [BUCKET_ARN]}
