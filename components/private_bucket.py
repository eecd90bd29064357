"""A private bucket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_aws import s3

from components.iam import Allow, document

ABORT_UPLOADS_AFTER_DAYS = 7  # a multipart upload that nobody ends is billed for ever


@dataclass(frozen=True, kw_only=True)
class PrivateBucketArgs:
    """What a private bucket needs to know.

    Args:
        kms_key_arn: the key that encrypts every object.
        protect: refuse to delete the bucket.
        sends_events: tell EventBridge of every object.
        expire_after_days: how long objects under a prefix live; those under none are kept for ever.
        expire_noncurrent_after_days: how long replaced or deleted versions can be brought back.
    """

    kms_key_arn: pulumi.Input[str]
    protect: bool
    sends_events: bool = False
    expire_after_days: Mapping[str, int] = field(default_factory=dict)
    expire_noncurrent_after_days: int = 90

    def __post_init__(self) -> None:
        for days in (*self.expire_after_days.values(), self.expire_noncurrent_after_days):
            if days < 1:
                raise ValueError(f"expiry after {days} days: write a whole number from 1")


class PrivateBucket(pulumi.ComponentResource):
    """An encrypted, versioned bucket with every public door closed and TLS only."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: PrivateBucketArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ncf:storage:PrivateBucket", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        bucket = s3.Bucket(
            name, force_destroy=False, opts=pulumi.ResourceOptions(parent=self, protect=args.protect)
        )
        self._close(name, bucket, child)
        versioning = s3.BucketVersioning(
            f"{name}-versioning",
            bucket=bucket.bucket,
            versioning_configuration={"status": "Enabled"},
            opts=child,
        )
        s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.bucket,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": args.kms_key_arn,
                    },
                    # One KMS call a bucket and hour instead of one an object.
                    "bucket_key_enabled": True,
                }
            ],
            opts=child,
        )
        s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.bucket,
            rules=_lifecycle_rules(args),
            # Rules on versions need versioning to be on (S3 user guide).
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
        ready = [versioning.id]
        if args.sends_events:
            # The only notification of the bucket: a second resource would overwrite it.
            events = s3.BucketNotification(
                f"{name}-events", bucket=bucket.bucket, eventbridge=True, opts=child
            )
            ready.append(events.id)
        # Whoever puts an object waits until it is versioned and seen.
        self.name = pulumi.Output.all(bucket.bucket, *ready).apply(lambda values: values[0])
        self.arn = bucket.arn
        self.register_outputs({"name": self.name, "arn": self.arn})

    def _close(self, name: str, bucket: s3.Bucket, child: pulumi.ResourceOptions) -> None:
        block = s3.BucketPublicAccessBlock(
            f"{name}-public-access",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        s3.BucketOwnershipControls(
            f"{name}-ownership",
            bucket=bucket.bucket,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=child,
        )
        s3.BucketPolicy(
            f"{name}-tls-only",
            bucket=bucket.bucket,
            policy=document(
                [
                    {
                        "Sid": "TlsOnly",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": [bucket.arn, pulumi.Output.concat(bucket.arn, "/*")],
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    }
                ]
            ),
            # S3 answers 409 when the policy and the access block change at once.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[block]),
        )

    def read(self, prefix: str) -> Allow:
        """Reading objects under a prefix, any version of them."""
        return Allow(actions=["s3:GetObject", "s3:GetObjectVersion"], resources=[self.objects(prefix)])

    def write(self, prefix: str) -> Allow:
        """Putting objects under a prefix, in one part or many."""
        return Allow(
            actions=["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
            resources=[self.objects(prefix)],
        )

    def delete(self, prefix: str) -> Allow:
        """Deleting objects under a prefix; their versions stay."""
        return Allow(actions=["s3:DeleteObject"], resources=[self.objects(prefix)])

    def list_keys(self, prefix: str) -> Allow:
        """Listing the keys under a prefix."""
        return Allow(
            actions=["s3:ListBucket"],
            resources=[self.arn],
            conditions={"StringLike": {"s3:prefix": [f"{prefix}*"]}},
        )

    def tell_missing(self) -> Allow:
        """Being told that an object is not there: without it S3 answers 403 instead of 404."""
        return Allow(actions=["s3:ListBucket"], resources=[self.arn])

    def locate(self) -> Allow:
        """Asking for the bucket's region, as SDKs and CodeBuild do first."""
        return Allow(actions=["s3:GetBucketLocation"], resources=[self.arn])

    def list_uploads(self) -> Allow:
        """Listing multipart uploads under way, as Hadoop's committers do to end what they began."""
        return Allow(actions=["s3:ListBucketMultipartUploads"], resources=[self.arn])

    def objects(self, prefix: str) -> pulumi.Output[str]:
        """The ARN pattern of the objects under a prefix."""
        return pulumi.Output.concat(self.arn, "/", prefix, "*")


def _lifecycle_rules(args: PrivateBucketArgs) -> list[s3.BucketLifecycleConfigurationRuleArgs]:
    rules = [
        s3.BucketLifecycleConfigurationRuleArgs(
            id="versions",
            status="Enabled",
            filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
            noncurrent_version_expiration=s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                noncurrent_days=args.expire_noncurrent_after_days
            ),
            abort_incomplete_multipart_upload=s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=ABORT_UPLOADS_AFTER_DAYS
            ),
        )
    ]
    for prefix, days in args.expire_after_days.items():
        rules.append(
            s3.BucketLifecycleConfigurationRuleArgs(
                id=f"expire-{prefix.rstrip('/') or 'all'}",
                status="Enabled",
                filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=prefix),
                expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
            )
        )
    return rules
