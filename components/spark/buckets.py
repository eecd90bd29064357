"""Buckets of AWS that the nodes of an EMR cluster use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

READ = ("s3:GetObject",)
WRITE = ("s3:PutObject",)
HISTORY = ("s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject")


def emr_buckets(region: str) -> Mapping[str, Sequence[str]]:
    """Actions on the objects of each bucket that EMR 7 needs in a private subnet.

    EMR management guide, "Sample policies for private subnets that access Amazon S3": packages of Amazon
    Linux 2023 and of EMR, system logs, and persistent application user interfaces.
    """
    logs = "aws157-logs-prod" if region == "us-east-1" else f"aws157-logs-prod-{region}"
    return {
        f"al2023-repos-{region}-de612dc2": READ,
        f"repo.{region}.emr.amazonaws.com": READ,
        logs: WRITE,
        f"prod.{region}.appinfo.src": HISTORY,
    }
