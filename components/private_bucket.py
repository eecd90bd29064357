"""S3 bucket without public access."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_aws import s3

from components.iam import Allow, document

ABORT_UPLOADS_AFTER_DAYS = 7  # parts of an incomplete multipart upload are billed until it is aborted


@dataclass(frozen=True, kw_only=True)
class PrivateBucketArgs:
    """Arguments of `PrivateBucket`.

    Attributes:
        kms_key_arn: encrypts every object.
        protect: Pulumi refuses to delete the bucket.
        sends_events: send S3 events to EventBridge.
        expire_after_days: prefix to expiry; objects under other prefixes never expire.
        purge_after_days: prefix of temporary files to their expiry; their noncurrent versions and
            incomplete uploads are deleted one day later.
        expire_noncurrent_after_days: expiry of noncurrent (replaced or deleted) versions.
    """

    kms_key_arn: pulumi.Input[str]
    protect: bool
    sends_events: bool = False
    expire_after_days: Mapping[str, int] = field(default_factory=dict)
    purge_after_days: Mapping[str, int] = field(default_factory=dict)
    expire_noncurrent_after_days: int = 90

    def __post_init__(self) -> None:
        expiries = (*self.expire_after_days.values(), *self.purge_after_days.values())
        for days in (*expiries, self.expire_noncurrent_after_days):
            if days < 1:
                raise ValueError(f"expiry after {days} days: write a whole number from 1")


class PrivateBucket(pulumi.ComponentResource):
    """S3 bucket: KMS encryption, versioning, TLS only, all public access blocked.

    Creates: Bucket, BucketVersioning, BucketServerSideEncryptionConfiguration, BucketPublicAccessBlock,
    BucketOwnershipControls, BucketPolicy, BucketLifecycleConfiguration, BucketNotification (with
    `sends_events`).
    """

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
        self._block_public_access(name, bucket, child)
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
                    # S3 derives object keys from a bucket key instead of calling KMS for each object.
                    "bucket_key_enabled": True,
                }
            ],
            opts=child,
        )
        s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.bucket,
            rules=_lifecycle_rules(args),
            # Rules on noncurrent versions require versioning (S3 user guide).
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
        ready = [versioning.id]
        if args.sends_events:
            # One notification resource per bucket: a second one would overwrite it.
            events = s3.BucketNotification(
                f"{name}-events", bucket=bucket.bucket, eventbridge=True, opts=child
            )
            ready.append(events.id)
        # Objects of this program are uploaded after versioning and events are enabled.
        self.name = pulumi.Output.all(bucket.bucket, *ready).apply(lambda values: values[0])
        self.arn = bucket.arn
        self.register_outputs({"name": self.name, "arn": self.arn})

    def _block_public_access(self, name: str, bucket: s3.Bucket, child: pulumi.ResourceOptions) -> None:
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
            # S3 returns 409 when the policy and the access block change at the same time.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[block]),
        )

    def grant_read(self, prefix: str) -> Allow:
        """Permission to get objects under a prefix."""
        return Allow(actions=["s3:GetObject"], resources=[self.objects_arn(prefix)])

    def grant_read_versions(self, key: str) -> Allow:
        """Permission to get the versions of one object."""
        return Allow(actions=["s3:GetObjectVersion"], resources=[pulumi.Output.concat(self.arn, "/", key)])

    def grant_read_object(self, key: str) -> Allow:
        """Permission to get one object."""
        return Allow(actions=["s3:GetObject"], resources=[pulumi.Output.concat(self.arn, "/", key)])

    def grant_write(self, prefix: str) -> Allow:
        """Permission to put objects under a prefix, in several parts too."""
        return Allow(actions=["s3:PutObject"], resources=[self.objects_arn(prefix)])

    def grant_write_object(self, key: str) -> Allow:
        """Permission to put one object."""
        return Allow(actions=["s3:PutObject"], resources=[pulumi.Output.concat(self.arn, "/", key)])

    def grant_abort_uploads(self, prefix: str) -> Allow:
        """Permission to list the parts of multipart uploads under a prefix, and to abort the uploads."""
        return Allow(
            actions=["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
            resources=[self.objects_arn(prefix)],
        )

    def grant_delete(self, prefix: str) -> Allow:
        """Permission to delete objects under a prefix, but not their versions."""
        return Allow(actions=["s3:DeleteObject"], resources=[self.objects_arn(prefix)])

    def grant_list(self, prefix: str) -> Allow:
        """Permission to list the keys under a prefix."""
        return Allow(
            actions=["s3:ListBucket"],
            resources=[self.arn],
            conditions={"StringLike": {"s3:prefix": [f"{prefix}*"]}},
        )

    def grant_list_all(self) -> Allow:
        """Permission to list all keys of the bucket (`s3:ListBucket` without a condition).

        GetObject and HeadObject return 404 for a missing key only to callers with this permission, and 403
        to others (S3 API, GetObject). A condition on `s3:prefix` does not help: those requests have none.
        """
        return Allow(actions=["s3:ListBucket"], resources=[self.arn])

    def grant_get_identity(self) -> Allow:
        """Permission to get region and owner of the bucket, which CodeBuild does first.

        CodeBuild user guide, "Create a CodeBuild service role": statement for the identity of S3 buckets.
        """
        return Allow(actions=["s3:GetBucketAcl", "s3:GetBucketLocation"], resources=[self.arn])

    def grant_list_uploads(self) -> Allow:
        """Permission to list multipart uploads; Hadoop's committers list them to abort unfinished ones."""
        return Allow(actions=["s3:ListBucketMultipartUploads"], resources=[self.arn])

    def objects_arn(self, prefix: str) -> pulumi.Output[str]:
        """ARN pattern of the objects under a prefix."""
        return pulumi.Output.concat(self.arn, "/", prefix, "*")


def _lifecycle_rules(args: PrivateBucketArgs) -> list[s3.BucketLifecycleConfigurationRuleArgs]:
    """Lifecycle rules; where rules overlap, S3 applies the shorter expiry (S3 user guide)."""
    return [
        _rule(
            "versions",
            "",
            # A delete marker without older versions: nothing else deletes it.
            expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
            noncurrent_days=args.expire_noncurrent_after_days,
            abort_uploads_days=ABORT_UPLOADS_AFTER_DAYS,
        ),
        *(
            _rule(
                f"expire-{prefix.rstrip('/') or 'all'}",
                prefix,
                expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
            )
            for prefix, days in args.expire_after_days.items()
        ),
        *(
            _rule(
                f"purge-{prefix.rstrip('/') or 'all'}",
                prefix,
                expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
                noncurrent_days=1,
                abort_uploads_days=1,
            )
            for prefix, days in args.purge_after_days.items()
        ),
    ]


def _rule(
    rule_id: str,
    prefix: str,
    *,
    expiration: s3.BucketLifecycleConfigurationRuleExpirationArgs,
    noncurrent_days: int | None = None,
    abort_uploads_days: int | None = None,
) -> s3.BucketLifecycleConfigurationRuleArgs:
    noncurrent = abort = None
    if noncurrent_days is not None:
        noncurrent = s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=noncurrent_days
        )
    if abort_uploads_days is not None:
        abort = s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=abort_uploads_days
        )
    return s3.BucketLifecycleConfigurationRuleArgs(
        id=rule_id,
        status="Enabled",
        filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=prefix),
        expiration=expiration,
        noncurrent_version_expiration=noncurrent,
        abort_incomplete_multipart_upload=abort,
    )
