"""Creators of buckets, their settings (separate resources since provider version 7) and objects."""

from __future__ import annotations

from typing import Any

import pulumi

from local.deploy.context import Context, Creator, tag_list
from local.deploy.errors import CreateError
from local.deploy.inputs import Inputs
from local.deploy.values import asset_bytes

MAX_BUCKET_NAME = 63  # S3 user guide, bucket naming rules


def bucket(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    s3 = context.client("s3")
    bucket_name = context.name_of(inputs, name, key="bucket", max_length=MAX_BUCKET_NAME).lower()
    location = {"CreateBucketConfiguration": {"LocationConstraint": context.region}}
    s3.create_bucket(Bucket=bucket_name, **({} if context.region == "us-east-1" else location))
    if tags := tag_list(inputs):
        s3.put_bucket_tagging(Bucket=bucket_name, Tagging={"TagSet": tags})
        inputs.compare({"Tags": tags}, {"Tags": s3.get_bucket_tagging(Bucket=bucket_name)["TagSet"]})
    return bucket_name, {
        "arn": f"arn:aws:s3:::{bucket_name}",
        "bucket": bucket_name,
        "bucketRegion": context.region,
        "bucketDomainName": f"{bucket_name}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{bucket_name}.s3.{context.region}.amazonaws.com",
    }


def versioning(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    s3 = context.client("s3")
    bucket_name = inputs["bucket"]
    sent = inputs.required_block("versioningConfiguration").pick(
        {"status": "Status", "mfaDelete": "MFADelete"}
    )
    s3.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration=sent)
    inputs.compare(
        {"VersioningConfiguration": sent},
        {"VersioningConfiguration": s3.get_bucket_versioning(Bucket=bucket_name)},
    )
    return bucket_name, {}


def encryption(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    s3 = context.client("s3")
    bucket_name = inputs["bucket"]
    rules = []
    for rule in inputs.blocks("rules"):
        sent = rule.pick({"bucketKeyEnabled": "BucketKeyEnabled"})
        if default := rule.block("applyServerSideEncryptionByDefault"):
            sent["ApplyServerSideEncryptionByDefault"] = default.pick(
                {"sseAlgorithm": "SSEAlgorithm", "kmsMasterKeyId": "KMSMasterKeyID"}
            )
        rules.append(sent)
    s3.put_bucket_encryption(Bucket=bucket_name, ServerSideEncryptionConfiguration={"Rules": rules})
    read = s3.get_bucket_encryption(Bucket=bucket_name)["ServerSideEncryptionConfiguration"]
    inputs.compare({"Rules": rules}, read)
    return bucket_name, {}


def public_access_block(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    s3 = context.client("s3")
    bucket_name = inputs["bucket"]
    sent = inputs.pick(
        {
            "blockPublicAcls": "BlockPublicAcls",
            "blockPublicPolicy": "BlockPublicPolicy",
            "ignorePublicAcls": "IgnorePublicAcls",
            "restrictPublicBuckets": "RestrictPublicBuckets",
        }
    )
    s3.put_public_access_block(Bucket=bucket_name, PublicAccessBlockConfiguration=sent)
    inputs.compare(sent, s3.get_public_access_block(Bucket=bucket_name)["PublicAccessBlockConfiguration"])
    return bucket_name, {}


def ownership_controls(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    s3 = context.client("s3")
    bucket_name = inputs["bucket"]
    sent = {"Rules": [inputs.required_block("rule").pick({"objectOwnership": "ObjectOwnership"})]}
    s3.put_bucket_ownership_controls(Bucket=bucket_name, OwnershipControls=sent)
    inputs.compare(sent, s3.get_bucket_ownership_controls(Bucket=bucket_name)["OwnershipControls"])
    return bucket_name, {}


def policy(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    s3 = context.client("s3")
    bucket_name = inputs["bucket"]
    sent = {"Policy": inputs["policy"]}
    s3.put_bucket_policy(Bucket=bucket_name, **sent)
    inputs.compare(sent, s3.get_bucket_policy(Bucket=bucket_name))
    return bucket_name, {}


def lifecycle(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    s3 = context.client("s3")
    bucket_name = inputs["bucket"]
    rules = [_lifecycle_rule(rule) for rule in inputs.blocks("rules")]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket_name, LifecycleConfiguration={"Rules": rules})
    inputs.compare({"Rules": rules}, s3.get_bucket_lifecycle_configuration(Bucket=bucket_name))
    return bucket_name, {}


def _lifecycle_rule(rule: Inputs) -> dict[str, Any]:
    sent = rule.pick({"id": "ID", "status": "Status"})
    if found := rule.block("filter"):
        sent["Filter"] = found.pick({"prefix": "Prefix"})
    if found := rule.block("expiration"):
        sent["Expiration"] = found.pick(
            {"days": "Days", "expiredObjectDeleteMarker": "ExpiredObjectDeleteMarker"}
        )
    if found := rule.block("noncurrentVersionExpiration"):
        sent["NoncurrentVersionExpiration"] = found.pick({"noncurrentDays": "NoncurrentDays"})
    if found := rule.block("abortIncompleteMultipartUpload"):
        sent["AbortIncompleteMultipartUpload"] = found.pick({"daysAfterInitiation": "DaysAfterInitiation"})
    return sent


def notification(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    s3 = context.client("s3")
    bucket_name = inputs["bucket"]
    eventbridge = inputs.get("eventbridge", False)
    sent: dict[str, Any] = {"EventBridgeConfiguration": {}} if eventbridge else {}
    s3.put_bucket_notification_configuration(Bucket=bucket_name, NotificationConfiguration=sent)
    read = s3.get_bucket_notification_configuration(Bucket=bucket_name)
    inputs.compare({"Eventbridge": eventbridge}, {"Eventbridge": "EventBridgeConfiguration" in read})
    return bucket_name, {}


def object_v2(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    s3 = context.client("s3")
    sent = {
        "Bucket": inputs["bucket"],
        "Key": inputs["key"],
        **inputs.pick(
            {
                "contentType": "ContentType",
                "serverSideEncryption": "ServerSideEncryption",
                "kmsKeyId": "SSEKMSKeyId",
            }
        ),
        "Metadata": inputs.plain("metadata", {}),
    }
    stored = s3.put_object(Body=_body(context, inputs), **sent)
    tags = tag_list(inputs)
    location = {"Bucket": sent["Bucket"], "Key": sent["Key"]}
    if tags:
        s3.put_object_tagging(**location, Tagging={"TagSet": tags})
        inputs.compare({"Tags": tags}, {"Tags": s3.get_object_tagging(**location)["TagSet"]})
    inputs.compare(sent, s3.head_object(**location) | location)
    return f"{sent['Bucket']}/{sent['Key']}", {
        "arn": f"arn:aws:s3:::{sent['Bucket']}/{sent['Key']}",
        "key": sent["Key"],
        "etag": stored["ETag"].strip('"'),
        "versionId": stored.get("VersionId", ""),
    }


def _body(context: Context, inputs: Inputs) -> bytes:
    given = [inputs.get("source"), inputs.get("content")]
    match [value for value in given if value is not None]:
        case [str(text)]:
            return text.encode()
        case [pulumi.Asset() as asset]:
            return asset_bytes(asset, context.root)
        case _:
            raise CreateError("an object needs either source (an asset) or content")


CREATORS: dict[str, Creator] = {
    "aws:s3/bucket:Bucket": bucket,
    "aws:s3/bucketVersioning:BucketVersioning": versioning,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": encryption,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": public_access_block,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": ownership_controls,
    "aws:s3/bucketPolicy:BucketPolicy": policy,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": lifecycle,
    "aws:s3/bucketNotification:BucketNotification": notification,
    "aws:s3/bucketObjectv2:BucketObjectv2": object_v2,
}
