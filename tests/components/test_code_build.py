"""CodeBuild project: source, environment, log group and permissions."""

import json
from typing import Any

import pytest

from components.code_build import CodeBuild, CodeBuildArgs
from components.iam import Allow, policy
from tests import pulumi_engine
from tests.pulumi_engine import ACCOUNT, Recording

KEY_ARN = "arn:aws:kms:ap-northeast-2:123456789012:key/key-1"
READ = Allow(actions=["s3:GetObject"], resources=["arn:aws:s3:::artifacts/code/*"])


def arguments(**overrides: Any) -> CodeBuildArgs:
    return CodeBuildArgs(
        **{
            "description": "Builds",
            "source_bucket": "artifacts",
            "source_key": "code/source.zip",
            "buildspec": "version: 0.2",
            "environment": {"B": "2", "A": "1"},
            "allows": [READ],
            "kms_key_arn": KEY_ARN,
            "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
            "compute_type": "BUILD_GENERAL1_MEDIUM",
            "timeout_minutes": 480,
            "log_retention_days": 14,
            "account_id": ACCOUNT,
            **overrides,
        }
    )


def build() -> Recording:
    return pulumi_engine.run(lambda: policy([CodeBuild("build", arguments()).grant_start_build()]))


def test_project_has_the_bundle_as_source_and_sorted_variables() -> None:
    inputs = build().one("aws:codebuild/project:Project").inputs
    assert inputs["source"]["location"] == "artifacts/code/source.zip"
    assert inputs["artifacts"] == {"type": "NO_ARTIFACTS"}
    assert inputs["environment"]["environmentVariables"] == [
        {"name": "A", "value": "1", "type": "PLAINTEXT"},
        {"name": "B", "value": "2", "type": "PLAINTEXT"},
    ]
    assert inputs["environment"]["privilegedMode"] is False
    assert inputs["encryptionKey"] == KEY_ARN


def test_build_has_its_log_group_and_the_given_permissions_only() -> None:
    done = build()
    group = done.one("aws:cloudwatch/logGroup:LogGroup")
    assert (group.inputs["retentionInDays"], group.inputs["kmsKeyId"]) == (14, KEY_ARN)
    logs = done.one("aws:codebuild/project:Project").inputs["logsConfig"]["cloudwatchLogs"]
    assert logs == {"status": "ENABLED", "groupName": group.outputs["name"]}
    statements = json.loads(done.one("aws:iam/rolePolicy:RolePolicy").inputs["policy"])["Statement"]
    assert [statement["Resource"] for statement in statements] == [
        [f"{group.outputs['arn']}:*"],
        ["arn:aws:s3:::artifacts/code/*"],
    ]


def test_start_permission_names_the_project_only() -> None:
    done = build()
    (statement,) = json.loads(done.values)["Statement"]
    project_arn = done.one("aws:codebuild/project:Project").outputs["arn"]
    assert statement == {"Effect": "Allow", "Action": ["codebuild:StartBuild"], "Resource": [project_arn]}


@pytest.mark.parametrize("minutes", [4, 2161])
def test_timeout_outside_of_codebuilds_limits_is_refused(minutes: int) -> None:
    with pytest.raises(ValueError, match="CodeBuild takes 5 to 2160"):
        arguments(timeout_minutes=minutes)
