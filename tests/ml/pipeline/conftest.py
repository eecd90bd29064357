"""Environment variables of a stage and a run, and AWS mocked by moto for the tests that need it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from hypothesis import settings
from moto import mock_aws

from ml import contract
from ml.pipeline.environment import PipelineStage, Run

# Test machines are shared: a property test has no time limit per example.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")

REGION = "ap-northeast-2"
ACCOUNT = f"{REGION}:123456789012"
TRAINING: dict[str, Any] = {
    "instance_type": "ml.m5.xlarge",
    "evaluation_instance_type": "ml.m5.2xlarge",
    "serving_instance_type": "ml.c5.large",
    "volume_gib": 30,
    "max_runtime_s": 7200,
    "use_spot": True,
    "framework_version": "2.10.0",
    "py_version": "py313",
    "image_uri": None,
    "serving_image": f"763104351884.dkr.ecr.{REGION}.amazonaws.com/pytorch-inference:2.6.0-cpu-py312",
    "hyperparameters": {"epochs": 10, "lr": 0.001, "batch_size": 256, "preset": "lotteon"},
    "floors": {"hr_at_10": 0.5, "ndcg_at_10": 0.25},
    "tolerance": {"hr_at_10": 0.01, "ndcg_at_10": 0.02},
    "approval": "automatic",
    "tags": {"Owner": "recommendation", "Service": "ncf"},
}
ENVIRONMENT = {
    contract.ENV_STAGE: "dev",
    "AWS_DEFAULT_REGION": REGION,
    contract.ENV_DATA_BUCKET: "ncf-data-3f1c9a7",
    contract.ENV_ARTIFACTS_BUCKET: "ncf-artifacts-77ab01c",
    contract.ENV_KMS_KEY_ARN: f"arn:aws:kms:{ACCOUNT}:key/5c1f0c1d-e1aa-4f2c-8a0b-6f1a3c7e2d10",
    contract.ENV_PIPELINE_NAME: "ncf-dev",
    contract.ENV_PIPELINE_ROLE_ARN: "arn:aws:iam::123456789012:role/pipeline-role",
    contract.ENV_JOB_ROLE_ARN: "arn:aws:iam::123456789012:role/job-role",
    contract.ENV_MODEL_ROLE_ARN: "arn:aws:iam::123456789012:role/model-role",
    contract.ENV_MODEL_PACKAGE_GROUP: "NCF-dev",
    contract.ENV_ENDPOINT_NAME: "ncf-dev",
    contract.ENV_DEPLOY_FUNCTION_ARN: f"arn:aws:lambda:{ACCOUNT}:function:deploy-model-1a2b3c4",
    contract.ENV_REJECTION_FUNCTION_ARN: f"arn:aws:lambda:{ACCOUNT}:function:report-rejection-5d6e7f8",
    contract.ENV_TRAINING: json.dumps(TRAINING),
    contract.ENV_RUN_ID: "20261123T020000Z",
    contract.ENV_CODE_VERSION: "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
}


def environment(**training: Any) -> dict[str, str]:
    """The environment variables with changed training settings."""
    return ENVIRONMENT | {contract.ENV_TRAINING: json.dumps(TRAINING | training)}


@pytest.fixture
def stage() -> PipelineStage:
    return PipelineStage.from_environment(ENVIRONMENT)


@pytest.fixture
def run() -> Run:
    return Run.from_environment(ENVIRONMENT)


@pytest.fixture(scope="module")
def aws() -> Iterator[None]:
    """AWS mocked by moto in this process: one without resources per test module."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        monkeypatch.setenv("SAGEMAKER_VALIDATE_ROLE", "false")  # as the rendered buildspec does
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # aws_session() sets it
        with mock_aws():
            yield


def bundle(files: dict[str, bytes]) -> bytes:
    """A code bundle: a zip archive of files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def s3(aws: None, stage: PipelineStage) -> Iterator[Any]:
    """S3 client; the stage's two buckets exist, are versioned and empty."""
    client = boto3.client("s3", region_name=REGION)
    for bucket in (stage.data_bucket, stage.artifacts_bucket):
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    yield client
    for bucket in (stage.data_bucket, stage.artifacts_bucket):
        listed = client.list_object_versions(Bucket=bucket)
        for version in [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]:
            client.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
        client.delete_bucket(Bucket=bucket)
