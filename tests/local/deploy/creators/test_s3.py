"""Creators of buckets and objects, read back with boto3."""

from __future__ import annotations

import json

import pytest

from emulator.app import Emulator
from local.deploy.errors import CreateError
from tests.local.deploy.conftest import DeploySource
from tests.local.projects import TAGS

TLS_ONLY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ],
}
BUCKET = f"""
policy = {TLS_ONLY!r}
bucket = aws.s3.Bucket("Data", tags={{"x": "1"}})
key = aws.kms.Key("key")
name = bucket.bucket
aws.s3.BucketVersioning("v", bucket=name, versioning_configuration={{"status": "Enabled"}})
aws.s3.BucketServerSideEncryptionConfiguration("e", bucket=name, rules=[{{
    "bucket_key_enabled": True,
    "apply_server_side_encryption_by_default": {{"sse_algorithm": "aws:kms", "kms_master_key_id": key.arn}},
}}])
aws.s3.BucketPublicAccessBlock("p", bucket=name, block_public_acls=True, block_public_policy=True,
                               ignore_public_acls=True, restrict_public_buckets=True)
aws.s3.BucketOwnershipControls("o", bucket=name, rule={{"object_ownership": "BucketOwnerEnforced"}})
aws.s3.BucketPolicy("t", bucket=name, policy=json.dumps(policy))
aws.s3.BucketLifecycleConfiguration("l", bucket=name, rules=[{{
    "id": "old", "status": "Enabled", "filter": {{"prefix": "tmp/"}}, "expiration": {{"days": 3}},
    "noncurrent_version_expiration": {{"noncurrent_days": 4}},
    "abort_incomplete_multipart_upload": {{"days_after_initiation": 7}},
}}])
events = aws.s3.BucketNotification("n", bucket=name, eventbridge=True)
pulumi.export("bucket", name)
pulumi.export("key", key.arn)
"""


def test_bucket_with_all_settings(deploy_source: DeploySource, emulator: Emulator) -> None:
    outputs = deploy_source(BUCKET).outputs
    s3, bucket = emulator.client("s3"), outputs["bucket"]

    assert bucket.startswith("data-"), "names of buckets are lower case"
    tags = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == TAGS | {"x": "1"}
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == outputs["key"]
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == TLS_ONLY
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert rule["Filter"] == {"Prefix": "tmp/"}
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert s3.get_bucket_notification_configuration(Bucket=bucket)["EventBridgeConfiguration"] == {}


def test_object_has_the_content_of_its_asset(deploy_source: DeploySource, emulator: Emulator) -> None:
    deployment = deploy_source(
        BUCKET
        + """
from pathlib import Path
Path("file.bin").write_bytes(bytes(range(256)))
asset = aws.s3.BucketObjectv2("a", bucket=name, key="a/file.bin", source=pulumi.FileAsset("file.bin"),
    server_side_encryption="aws:kms", kms_key_id=key.arn, opts=pulumi.ResourceOptions(depends_on=events))
text = aws.s3.BucketObjectv2("b", bucket=name, key="b.json", content="{}", content_type="application/json")
"""
    )
    s3, bucket = emulator.client("s3"), deployment.outputs["bucket"]

    stored = s3.get_object(Bucket=bucket, Key="a/file.bin")
    assert stored["Body"].read() == bytes(range(256))
    assert stored["SSEKMSKeyId"] == deployment.outputs["key"]
    assert s3.get_object(Bucket=bucket, Key="b.json")["ContentType"] == "application/json"


@pytest.mark.parametrize("arguments", ["", "source=pulumi.StringAsset('a'), content='b'"])
def test_object_without_exactly_one_content_is_refused(deploy_source: DeploySource, arguments: str) -> None:
    with pytest.raises(CreateError, match=r"an object needs either source \(an asset\) or content"):
        deploy_source(f'aws.s3.BucketObjectv2("a", bucket="b", key="k", {arguments})')
