"""Upload a bundle as a new version of ``code/source.zip``; S3 checks the bytes against the bundle's checksum.

The object version that it prints is the code version: it is what a run's buildspec pins.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import sys
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ml.contract import CODE_BUNDLE_KEY

PATIENCE = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 4})


def checked_bytes(bundle: Path) -> bytes:
    """The bundle's bytes, once they agree with the checksum file beside it.

    Raises:
        ValueError: they don't.
    """
    data = bundle.read_bytes()
    expected = bundle.with_name(bundle.name + ".sha256").read_text().split()[0]
    if hashlib.sha256(data).hexdigest() != expected:
        raise ValueError(f"{bundle}: not the bytes that {bundle.name}.sha256 was made from; bundle again")
    return data


def publish(bundle: Path, bucket: str) -> str:
    """Upload the bundle; returns the new object version.

    Raises:
        ValueError: the bundle is not what its checksum says, or the bucket keeps no versions.
    """
    data = checked_bytes(bundle)
    response = boto3.client("s3", config=PATIENCE).put_object(
        Bucket=bucket,
        Key=CODE_BUNDLE_KEY,
        Body=data,
        ContentType="application/zip",
        ChecksumSHA256=base64.b64encode(hashlib.sha256(data).digest()).decode(),
    )
    if response.get("VersionId", "null") == "null":
        raise ValueError(f"{bucket}: keeps no versions, and the object version is the code version")
    return str(response["VersionId"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ci.publish", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bucket", required=True, help="the stage's artifacts bucket")
    parser.add_argument("--bundle", type=Path, default=Path("dist/source.zip"))
    args = parser.parse_args()
    try:
        version = publish(args.bundle, args.bucket)
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
