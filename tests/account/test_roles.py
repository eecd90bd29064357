"""The account program: which jobs may assume which role, and what each role may do."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from emulator.authorization.policies import Call, allows
from tests.account.program import JENKINS, arn, policies, recorded, run_program, trust
from tests.pulumi_engine import ACCOUNT, REGION
from tests.repository import STAGES

PROJECT_PATH = "your-group/ncf-recommender-platform"
STATE = "arn:aws:s3:::your-pulumi-state"
STATE_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000"
MAX_INLINE_POLICIES = 10_240  # IAM user guide, quotas: characters of all inline policies of a role
TOKEN = {"gitlab.com:aud": "sts.amazonaws.com"}
ASSUME = "sts:AssumeRoleWithWebIdentity"


def job(project: str = PROJECT_PATH, ref: str = "main", kind: str = "branch") -> dict[str, str]:
    """Condition keys of the ID token of a job."""
    return {**TOKEN, "gitlab.com:sub": f"project_path:{project}:ref_type:{kind}:ref:{ref}"}


def may_assume(role: str, claims: dict[str, str]) -> bool:
    (statement,) = trust(role)["Statement"]
    assert statement["Principal"] == {"Federated": recorded().exports["provider_arn"]}
    assert statement["Action"] == ASSUME
    without_principal = {key: value for key, value in statement.items() if key != "Principal"}
    return allows([{"Statement": [{**without_principal, "Resource": "*"}]}], Call(ASSUME, context=claims))


@pytest.mark.parametrize("stage", STAGES)
def test_only_jobs_of_the_main_branch_assume_the_deploy_role(stage: str) -> None:
    role = f"{stage}-deploy"
    assert trust(role)["Statement"][0]["Condition"] == {
        "StringEquals": {
            "gitlab.com:aud": "sts.amazonaws.com",
            "gitlab.com:sub": f"project_path:{PROJECT_PATH}:ref_type:branch:ref:main",
        }
    }
    assert may_assume(role, job())
    for claims in (
        job(ref="feature"),
        job(ref="main2"),
        job(ref="x:ref:main"),
        job(kind="tag"),
        job(project="fork/ncf-recommender-platform"),
        job(project=f"{PROJECT_PATH}-2"),
        {**job(), "gitlab.com:aud": "https://gitlab.com"},
    ):
        assert not may_assume(role, claims), claims


@pytest.mark.parametrize("stage", STAGES)
def test_jobs_of_every_branch_of_the_project_assume_the_preview_role(stage: str) -> None:
    role = f"{stage}-preview"
    assert may_assume(role, job(ref="feature/42"))
    for claims in (
        job(kind="tag"),
        job(project="fork/ncf-recommender-platform"),
        job(project=f"{PROJECT_PATH}/sub"),
        {**job(), "gitlab.com:aud": "https://gitlab.com"},
    ):
        assert not may_assume(role, claims), claims


@pytest.mark.parametrize("stage", STAGES)
def test_preview_role_reads_the_state_of_its_stage_and_nothing_else(stage: str) -> None:
    statements = [each for text in policies(f"{stage}-preview") for each in json.loads(text)["Statement"]]
    granted = {(action, arn) for each in statements for action in each["Action"] for arn in each["Resource"]}
    assert granted == {
        ("s3:ListBucket", STATE),
        ("s3:GetObject", f"{STATE}/.pulumi/meta.yaml"),
        ("s3:GetObject", f"{STATE}/.pulumi/stacks/ncf/{stage}.*"),
        ("kms:Decrypt", STATE_KEY),
    }


@pytest.mark.parametrize("stage", STAGES)
def test_deploy_role_writes_the_state_of_its_stage_only(stage: str) -> None:
    documents = policies(f"{stage}-deploy")
    other = next(each for each in STAGES if each != stage)
    for key, own in (
        (f"stacks/ncf/{stage}.json", True),
        (f"locks/organization/ncf/{stage}/1.json", True),
        (f"history/ncf/{stage}/{stage}-1.history.json", True),
        (f"backups/ncf/{stage}/{stage}.1.json", True),
        (f"stacks/ncf/{other}.json", False),
        (f"locks/organization/ncf/{other}/1.json", False),
        ("meta.yaml", False),
    ):
        assert allows(documents, Call("s3:PutObject", f"{STATE}/.pulumi/{key}")) is own, key
    assert not allows(documents, Call("s3:DeleteBucket", STATE))
    assert not allows(documents, Call("kms:ScheduleKeyDeletion", STATE_KEY))


def test_policies_fit_into_a_role() -> None:
    for role in recorded().of("aws:iam/role:Role"):
        assert sum(len(text.replace(" ", "")) for text in policies(role.name)) <= MAX_INLINE_POLICIES


@pytest.mark.parametrize("stage", STAGES)
def test_publish_role_is_for_the_agents_and_uploads_the_code_bundle_only(stage: str) -> None:
    role = f"{stage}-publish"
    assert trust(role)["Statement"] == [
        {"Effect": "Allow", "Principal": {"AWS": JENKINS}, "Action": "sts:AssumeRole"}
    ]
    documents = policies(role)
    bucket = f"arn:aws:s3:::ncf-{stage}-artifacts-1a2b3c"
    assert allows(documents, Call("s3:PutObject", f"{bucket}/code/source.zip"))
    assert not allows(documents, Call("s3:PutObject", f"{bucket}/models/m.tar.gz"))
    assert not allows(documents, Call("s3:GetObject", f"{bucket}/code/source.zip"))
    key = arn("kms", "key/k-1")
    through_s3 = {"aws:ResourceTag/Stage": stage, "kms:ViaService": f"s3.{REGION}.amazonaws.com"}
    assert allows(documents, Call("kms:GenerateDataKey", key, context=through_s3))
    assert not allows(documents, Call("kms:GenerateDataKey", key, context={"aws:ResourceTag/Stage": stage}))


def test_without_jenkins_there_is_no_publish_role() -> None:
    recording = run_program(jenkins_principal_arn=None)
    assert [each.name for each in recording.of("aws:iam/role:Role") if "publish" in each.name] == []
    assert "dev_publish_role_arn" not in recording.exports


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"gitlab": {"url": "https://gitlab.com", "project": "group/*", "branch": "main"}},
            r"project 'group/\*'",
        ),
        ({"gitlab": {"url": "https://gitlab.com", "project": "a/b", "branch": "*"}}, r"branch '\*'"),
        ({"gitlab": {"url": "http://gitlab.com", "project": "a/b", "branch": "main"}}, "https URL"),
        ({"gitlab": {"url": "https://gitlab.com", "project": "a/b"}}, "gitlab.branch: Field required"),
        ({"stages": []}, "stages"),
        ({"state": {"bucket": "b-1", "key_arn": "alias/x"}}, "state.key_arn"),
    ],
)
def test_wrong_configuration_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, pulumi.RunError), match=message):
        run_program(**changes)
