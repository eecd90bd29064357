"""`ci.teardown`: everything that a stage created at run time is listed, and deleted only when confirmed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.sagemaker.models import sagemaker_backends

from ci.teardown.__main__ import Dependencies, main
from ci.teardown.leftover import Waiter
from ci.teardown.models import is_of_deploy_model
from tests.repository import ROOT

REGION = "ap-northeast-2"
BUCKETS = ("data-1a2b3c", "artifacts-1a2b3c", "logs-1a2b3c")
OUTPUTS = {
    **{f"{name.split('-')[0]}_bucket": name for name in BUCKETS},
    "endpoint_name": "ncf-dev",
    "pipeline_name": "ncf-dev",
    "model_package_group": "NCF-dev",
    "codebuild_project": "build-1a2b3c",
    "preparation_job": "ncf-dev-preparation",
}
ROLE = "arn:aws:iam::123456789012:role/model"
MANY = 1100  # more than a page of a list, and more than one DeleteObjects takes


@dataclass
class Account:
    """AWS account mocked by moto with a dev stage, and the command."""

    root: Path
    answers: list[str] = field(default_factory=list)

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=REGION)

    def teardown(self, *arguments: str, stage: str = "dev") -> int:
        dependencies = Dependencies(
            connect=lambda service, region: boto3.client(service, region_name=region),
            ask=lambda _question: self.answers.pop(),
            root=self.root,
            waiter=Waiter(poll_s=0.01, timeout_s=5),
        )
        return main([stage, "--outputs", str(self.root / "outputs.json"), *arguments], dependencies)

    def model(self, name: str, stage: str) -> None:
        tags = {"Owner": "recommendation", "Service": "ncf", "Stage": stage}
        self.client("sagemaker").create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": "i"},
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )

    def endpoint_config(self, name: str, model: str) -> None:
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": model,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        self.client("sagemaker").create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])

    def models(self) -> set[str]:
        return {each["ModelName"] for each in self.client("sagemaker").list_models()["Models"]}

    def configs(self) -> set[str]:
        found = self.client("sagemaker").list_endpoint_configs()["EndpointConfigs"]
        return {each["EndpointConfigName"] for each in found}


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for path in ROOT.glob("Pulumi.*.yaml"):
        shutil.copy(path, tmp_path)
    (tmp_path / "outputs.json").write_text(json.dumps(OUTPUTS))
    with mock_aws():
        found = Account(tmp_path)
        s3, sagemaker = found.client("s3"), found.client("sagemaker")
        for bucket in BUCKETS:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        sagemaker.create_model_package_group(ModelPackageGroupName="NCF-dev")
        found.client("codebuild").create_project(
            name="build-1a2b3c",
            source={"type": "S3", "location": f"{BUCKETS[1]}/code/source.zip"},
            artifacts={"type": "NO_ARTIFACTS"},
            environment={"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL"},
            serviceRole=ROLE,
        )
        yield found


def test_stage_that_protects_its_data_is_refused(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.client("s3").put_object(Bucket=BUCKETS[0], Key="a", Body=b"")
    assert account.teardown("--delete", "--confirm", "prod", stage="prod") == 2
    assert "prod protects its data: set ncf:protect_data to false" in capsys.readouterr().err
    assert account.client("s3").list_objects_v2(Bucket=BUCKETS[0])["KeyCount"] == 1


def test_stage_without_a_protect_data_key_is_refused(account: Account) -> None:
    path = account.root / "Pulumi.dev.yaml"
    path.write_text(path.read_text().replace("ncf:protect_data: false", ""))
    assert account.teardown() == 2


def test_unknown_stage_is_refused_with_the_existing_ones(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    assert account.teardown(stage="qa") == 2
    assert "the stages are dev, prod" in capsys.readouterr().err


def test_missing_output_is_named(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    (account.root / "outputs.json").write_text("{}")
    assert account.teardown() == 2
    assert "no output data_bucket" in capsys.readouterr().err


def test_everything_is_listed_and_nothing_deleted_by_default(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.client("s3").put_object(Bucket=BUCKETS[0], Key="a", Body=b"1")
    account.model("pipelines-1-NCFCreateModel-a", "dev")
    assert account.teardown() == 0
    assert capsys.readouterr().out.splitlines() == [
        "model: pipelines-1-NCFCreateModel-a",
        f"objects: s3://{BUCKETS[0]}: 1 versions (0.0 MiB), 0 delete markers, 0 incomplete uploads",
        "2 to delete; nothing was deleted: run it again with --delete",
    ]
    assert account.models() == {"pipelines-1-NCFCreateModel-a"}


def test_nothing_is_deleted_without_the_name_of_the_stage(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.client("s3").put_object(Bucket=BUCKETS[0], Key="a", Body=b"1")
    account.answers = ["yes"]
    assert account.teardown("--delete") == 2
    assert "'yes' is not dev; nothing was deleted" in capsys.readouterr().err
    assert account.teardown("--delete", "--confirm", "prod") == 2
    assert account.client("s3").list_objects_v2(Bucket=BUCKETS[0])["KeyCount"] == 1


def test_bucket_is_emptied_of_every_version_delete_marker_and_upload(account: Account) -> None:
    s3, bucket = account.client("s3"), BUCKETS[1]
    stored = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for number in range(MANY):  # without a request each
        stored.put_object(bucket, f"{number}", b"")
    for _ in range(2):
        s3.put_object(Bucket=bucket, Key="a", Body=b"")
    s3.delete_object(Bucket=bucket, Key="a")
    s3.create_multipart_upload(Bucket=bucket, Key="b")
    account.answers = ["dev"]
    assert account.teardown("--delete") == 0
    listed = s3.list_object_versions(Bucket=bucket)
    assert [key for key in ("Versions", "DeleteMarkers") if key in listed] == []
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    s3.delete_bucket(Bucket=bucket)


def test_models_and_configs_of_other_stages_and_of_pulumi_are_kept(account: Account) -> None:
    kept = {"pipelines-2-NCFCreateModel-b", "endpoint-model-1a2b3c", "ncf-dev-v1", "ncf-prod-v1-0a1b2c3d"}
    for name in kept:
        account.model(name, "prod")
    for name in ("pipelines-1-NCFCreateModel-a", "ncf-dev-v12-0a1b2c3d"):
        account.model(name, "dev")
    for name in ("ncf-dev-v12-0a1b2c3d", "endpoint-config-1a2b3c", "ncf-dev-v2-x"):
        account.endpoint_config(name, "ncf-dev-v12-0a1b2c3d")
    assert account.teardown("--delete", "--confirm", "dev") == 0
    assert account.models() == kept
    assert account.configs() == {"endpoint-config-1a2b3c", "ncf-dev-v2-x"}


def test_endpoint_is_deleted_before_its_config_and_the_config_before_its_model(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.model("pipelines-1-NCFCreateModel-a", "dev")
    account.endpoint_config("ncf-dev-v1-0a1b2c3d", "pipelines-1-NCFCreateModel-a")
    account.client("sagemaker").create_endpoint(
        EndpointName="ncf-dev", EndpointConfigName="ncf-dev-v1-0a1b2c3d"
    )
    assert account.teardown("--delete", "--confirm", "dev") == 0
    deleted = [line for line in capsys.readouterr().out.splitlines() if line.startswith("deleting")]
    assert [line.split(":")[0] for line in deleted] == [
        "deleting endpoint",
        "deleting endpoint config",
        "deleting model",
    ]


def test_second_teardown_finds_nothing(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    assert account.teardown("--delete", "--confirm", "dev") == 0
    assert capsys.readouterr().out == "nothing to delete; run pulumi destroy --stack dev\n"
    for bucket in BUCKETS:
        account.client("s3").delete_bucket(Bucket=bucket)
    assert account.teardown() == 0


def test_teardown_after_a_destroy_that_stopped_half_way_deletes_the_rest(account: Account) -> None:
    """`pulumi destroy` without a teardown stops at the first bucket that is not empty."""
    account.client("codebuild").delete_project(name="build-1a2b3c")
    # moto does not implement DeleteModelPackageGroup.
    del sagemaker_backends[DEFAULT_ACCOUNT_ID][REGION].model_package_groups["NCF-dev"]
    account.client("s3").delete_bucket(Bucket=BUCKETS[2])
    account.client("s3").put_object(Bucket=BUCKETS[0], Key="a", Body=b"1")
    assert account.teardown("--delete", "--confirm", "dev") == 0
    account.client("s3").delete_bucket(Bucket=BUCKETS[0])


def test_wait_ends_with_the_name_of_what_did_not_end() -> None:
    with pytest.raises(TimeoutError, match="end of build b: not within"):
        replace(Waiter(), poll_s=0, timeout_s=0).until(lambda: False, "end of build b")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ncf-dev-v1-0a1b2c3d", True), ("ncf-dev-v1", False), ("ncf-dev-2-v1-0a1b2c3d", False)],
)
def test_names_of_deploy_model_are_matched_in_full(name: str, expected: bool) -> None:
    assert is_of_deploy_model(name, "ncf-dev") is expected
