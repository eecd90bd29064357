"""`ci.publish`: versioned upload of the code bundle to S3, with its checksum."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ci.bundle import write_bundle
from ci.publish import publish, session_for
from ml.contract import CODE_BUNDLE_KEY

ROOT = Path(__file__).resolve().parents[2]
REGION, BUCKET = "ap-northeast-2", "artifacts"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(ROOT, tmp_path / "source.zip")
    return tmp_path / "source.zip"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


def test_each_upload_is_a_new_version_and_old_versions_stay_readable(bundle: Path, s3: Any) -> None:
    first, second = publish(s3, bundle, BUCKET), publish(s3, bundle, BUCKET)
    assert first != second
    old = s3.get_object(Bucket=BUCKET, Key=CODE_BUNDLE_KEY, VersionId=first)
    assert old["Body"].read() == bundle.read_bytes()


def test_upload_includes_the_checksum(bundle: Path, s3: Any) -> None:
    sent: dict[str, str] = {}
    s3.meta.events.register("before-sign.s3.PutObject", lambda request, **_: sent.update(request.headers))
    publish(s3, bundle, BUCKET)
    digest = bundle.with_name("source.zip.sha256").read_text().split()[0]
    assert base64.b64decode(sent["x-amz-checksum-sha256"]).hex() == digest


def test_bundle_that_differs_from_its_checksum_is_not_uploaded(bundle: Path, s3: Any) -> None:
    bundle.write_bytes(bundle.read_bytes() + b"!")
    with pytest.raises(ValueError, match="create the bundle again"):
        publish(s3, bundle, BUCKET)
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)


def test_bucket_without_versioning_is_refused(bundle: Path, s3: Any) -> None:
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    with pytest.raises(ValueError, match="versioning is off"):
        publish(s3, bundle, BUCKET)


def test_upload_uses_the_credentials_of_the_given_role(s3: Any) -> None:
    role = "arn:aws:iam::123456789012:role/publish"
    identity = session_for(role).client("sts").get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::123456789012:assumed-role/publish/publish-code-bundle"
    assert session_for(None).client("sts").get_caller_identity()["Arn"] != identity["Arn"]
