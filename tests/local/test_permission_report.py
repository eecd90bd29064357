"""Report of a running stage: uses, unused grants and refusals of its roles."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from local.aws import DeployedStage
from local.permissions.report import distinct, read_uses, report, without_equivalent
from tests.emulator.support import document, make_bucket

ROLE = "ncf-dev-job-role-1a2b3c"
READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::ncf-dev-data-1a2b3c/in/*"}
WRITE = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::ncf-dev-data-1a2b3c/out/*"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Stage with one role that reads two objects and is refused twice."""
    with Emulator(root=tmp_path_factory.mktemp("emulator"), providers={}).start() as emulator:
        bucket = make_bucket(emulator, "ncf-dev-data-1a2b3c")
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        iam = emulator.client("iam")
        role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
        iam.put_role_policy(RoleName=ROLE, PolicyName="inline", PolicyDocument=document(READ, WRITE))
        outputs = {"kms_key_arn": "arn:aws:kms:ap-northeast-2:123456789012:key/k"}
        deployed = DeployedStage("dev", emulator.url, emulator.region, os.getpid(), outputs)
        s3 = deployed.role_client("s3", role)
        for key in ("in/run=20991231T000000Z/a", "in/run=20991231T000000Z/b"):
            emulator.client("s3").put_object(Bucket=bucket, Key=key, Body=b"")
            s3.get_object(Bucket=bucket, Key=key)
        with pytest.raises(ClientError):
            s3.delete_object(Bucket=bucket, Key="in/a")
        with pytest.raises(ClientError):
            deployed.role_client("iam", role).simulate_principal_policy(
                PolicySourceArn=role, ActionNames=["s3:PutObject"]
            )
        yield deployed


def test_uses_have_logical_names_and_one_row_per_folder(stage: DeployedStage) -> None:
    (use,) = report(stage).uses
    assert use.as_json() == {
        "role": "job-role",
        "action": "s3:GetObject",
        "resource": "arn:aws:s3:::<data>/in/run=<run>/a",
    }


def test_grant_without_use_is_reported(stage: DeployedStage) -> None:
    unused = [str(grant) for grant in report(stage).unused]
    assert unused == ["job-role: s3:PutObject on arn:aws:s3:::<data>/out/*"]


def test_unexpected_refusal_is_reported_with_role_action_and_resource(stage: DeployedStage) -> None:
    (message,) = report(stage).refusals
    assert message == (
        f"User: arn:aws:sts::123456789012:assumed-role/{ROLE}/local is not authorized to perform: "
        "s3:DeleteObject on resource: arn:aws:s3:::ncf-dev-data-1a2b3c/in/a because no identity-based policy "
        "allows the s3:DeleteObject action"
    )


def test_report_is_written_and_read_back(stage: DeployedStage, tmp_path: Path) -> None:
    found = report(stage)
    found.write(tmp_path / "out" / "permissions.json")
    assert read_uses(tmp_path / "out" / "permissions.json") == found.uses
    assert json.loads((tmp_path / "out" / "permissions.json").read_text())["refusals"] == found.refusals


def test_use_of_another_object_by_the_same_grant_is_equivalent(stage: DeployedStage) -> None:
    found = report(stage)
    (use,) = found.uses
    other = type(use)(use.role_arn, use.action, "arn:aws:s3:::<data>/in/elsewhere")
    assert without_equivalent(found.grants, [other], found.uses) == []
    assert without_equivalent(found.grants, [other], []) == [other]
    assert len(distinct([use, other])) == 2
