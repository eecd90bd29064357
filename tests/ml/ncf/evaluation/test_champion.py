from __future__ import annotations

import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from ml.ncf.evaluation import champion

GROUP, BUCKET, REGION = "NCF-test", "artifacts", "us-east-1"


@pytest.fixture
def registry(model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """SageMaker with a model package group, and S3 with one artifact."""
    for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}.items():
        monkeypatch.setenv(name, value)
    # SageMaker sets this variable in jobs, and not AWS_DEFAULT_REGION.
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(model_dir, arcname=".")
    with mock_aws():
        s3 = boto3.client("s3", REGION)
        s3.create_bucket(Bucket=BUCKET)
        s3.upload_file(str(archive), BUCKET, "model.tar.gz")
        sagemaker = boto3.client("sagemaker", REGION)
        sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
        yield sagemaker


def register(sagemaker: object, n: int, approval: str = "Approved", **metadata: str) -> list[str]:
    """ARNs of n new packages."""
    return [
        sagemaker.create_model_package(
            ModelPackageGroupName=GROUP,
            ModelApprovalStatus=approval,
            CustomerMetadataProperties=metadata,
            InferenceSpecification={
                "Containers": [{"Image": "image", "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz"}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )["ModelPackageArn"]
        for _ in range(n)
    ]


def test_champion_is_the_newest_approved_package_that_was_not_rolled_back(
    registry: object, tmp_path: Path
) -> None:
    _, current = register(registry, 2, deployment="Deployed")
    register(registry, 1, deployment="RolledBack")
    register(registry, 1, approval="PendingManualApproval")
    found = champion.find(GROUP, tmp_path)
    assert found.model_package_arn == current
    assert found.artifact.model is not None


def test_every_page_of_the_registry_is_read(registry: object, tmp_path: Path) -> None:
    # A page has at most 100 packages: the current one is on the second page in either order.
    register(registry, 100, deployment="RolledBack")
    (current,) = register(registry, 1, deployment="Deployed")
    register(registry, 100, deployment="RolledBack")
    assert champion.find(GROUP, tmp_path).model_package_arn == current


def test_group_without_a_current_package_has_no_champion(registry: object, tmp_path: Path) -> None:
    register(registry, 1, approval="Rejected")
    assert champion.find(GROUP, tmp_path) is None


def test_failed_call_names_the_group(registry: object, tmp_path: Path) -> None:
    register(registry, 1)
    boto3.client("s3", REGION).delete_object(Bucket=BUCKET, Key="model.tar.gz")
    with pytest.raises(champion.ChampionError, match=rf"^champion of {GROUP}: .*Not Found"):
        champion.find(GROUP, tmp_path)


class CutOff(BaseHTTPRequestHandler):
    """S3 whose connection ends in the middle of every object."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(b"10 of 1000")

    def log_message(self, *args: object) -> None:
        """Write nothing: the requests are not of interest."""


@pytest.fixture
def s3_that_is_cut_off(registry: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The registry; objects come from a server instead."""
    with HTTPServer(("127.0.0.1", 0), CutOff) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield registry
        server.shutdown()


def test_download_that_is_cut_off_is_a_champion_that_cannot_be_read(
    s3_that_is_cut_off: object, tmp_path: Path
) -> None:
    register(s3_that_is_cut_off, 1)
    with pytest.raises(champion.ChampionError, match=rf"^champion of {GROUP}: RetriesExceededError"):
        champion.find(GROUP, tmp_path)
