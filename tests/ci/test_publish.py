import base64
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from ci.bundle import write_bundle
from ci.publish import CODE_BUNDLE_KEY, publish

ROOT = Path(__file__).resolve().parents[2]
REGION = "ap-northeast-2"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(ROOT, tmp_path / "source.zip")
    return tmp_path / "source.zip"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket="artifacts", VersioningConfiguration={"Status": "Enabled"})
        yield "artifacts"


def test_each_upload_is_a_new_version_and_old_versions_stay_readable(bundle: Path, bucket: str) -> None:
    first, second = publish(bundle, bucket), publish(bundle, bucket)
    assert first != second
    old = boto3.client("s3").get_object(Bucket=bucket, Key=CODE_BUNDLE_KEY, VersionId=first)
    assert old["Body"].read() == bundle.read_bytes()


def test_upload_includes_the_checksum(bundle: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.session.Session())
    sent: dict[str, str] = {}
    boto3.DEFAULT_SESSION.events.register(
        "before-sign.s3.PutObject", lambda request, **_: sent.update(request.headers)
    )
    publish(bundle, bucket)
    digest = bundle.with_name("source.zip.sha256").read_text().split()[0]
    assert base64.b64decode(sent["x-amz-checksum-sha256"]).hex() == digest


def test_bundle_that_differs_from_its_checksum_is_not_uploaded(bundle: Path, bucket: str) -> None:
    bundle.write_bytes(bundle.read_bytes() + b"!")
    with pytest.raises(ValueError, match="create the bundle again"):
        publish(bundle, bucket)
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=bucket)


def test_bucket_without_versioning_is_refused(bundle: Path, bucket: str) -> None:
    boto3.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    with pytest.raises(ValueError, match="versioning is off"):
        publish(bundle, bucket)
