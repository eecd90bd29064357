"""Upload a bundle as a new version of ``code/source.zip``; S3 verifies its SHA-256.

Prints the object version. It is the code version that the buildspec of a run pins.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ml.contract import CODE_BUNDLE_KEY

CLIENT_CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 4})


def read_verified(bundle: Path) -> bytes:
    """Read a bundle and compare it with its checksum file.

    Raises:
        ValueError: the checksums differ.
    """
    data = bundle.read_bytes()
    expected = bundle.with_name(bundle.name + ".sha256").read_text().split()[0]
    if hashlib.sha256(data).hexdigest() != expected:
        raise ValueError(f"{bundle}: its SHA-256 differs from {bundle.name}.sha256; create the bundle again")
    return data


def publish(s3: Any, bundle: Path, bucket: str) -> str:
    """Upload the bundle with an S3 client; returns the new object version.

    Raises:
        ValueError: the bundle differs from its checksum, or the bucket is not versioned.
    """
    data = read_verified(bundle)
    response = s3.put_object(
        Bucket=bucket,
        Key=CODE_BUNDLE_KEY,
        Body=data,
        ContentType="application/zip",
        ChecksumSHA256=base64.b64encode(hashlib.sha256(data).digest()).decode(),
    )
    if response.get("VersionId", "null") == "null":
        raise ValueError(
            f"{bucket}: versioning is off, but the code version is an object version; enable versioning"
        )
    return str(response["VersionId"])


def session_for(role_arn: str | None) -> boto3.Session:
    """Session of a role, or of the default credentials."""
    if role_arn is None:
        return boto3.Session()
    response = boto3.client("sts", config=CLIENT_CONFIG).assume_role(
        RoleArn=role_arn, RoleSessionName="publish-code-bundle"
    )
    credentials = response["Credentials"]
    return boto3.Session(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ci.publish", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bucket", required=True, help="artifacts bucket of the stage")
    parser.add_argument("--bundle", type=Path, default=Path("dist/source.zip"))
    parser.add_argument("--role-arn", help="role to assume for the upload (account/roles.py)")
    args = parser.parse_args()
    try:
        s3 = session_for(args.role_arn or None).client("s3", config=CLIENT_CONFIG)
        version = publish(s3, args.bundle, args.bucket)
    except (OSError, ValueError) as error:
        print(f"publish: {error}", file=sys.stderr)
        return 2
    except (BotoCoreError, ClientError) as error:
        print(f"publish: s3://{args.bucket}/{CODE_BUNDLE_KEY}: {error}", file=sys.stderr)
        return 1
    print(version)
    return 0


if __name__ == "__main__":
    sys.exit(main())
