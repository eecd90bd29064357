"""Creators of roles and keys."""

from __future__ import annotations

import json

from emulator.app import Emulator
from tests.local.deploy.conftest import DeploySource
from tests.local.projects import TAGS

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
GRANT = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::a/*"}],
}


def test_role_with_policies_and_profile(deploy_source: DeploySource, emulator: Emulator) -> None:
    managed = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    outputs = deploy_source(
        f"""
    role = aws.iam.Role("r", assume_role_policy=json.dumps({TRUST!r}), description="d")
    aws.iam.RolePolicy("inline", role=role.name, policy=json.dumps({GRANT!r}), name="grant")
    aws.iam.RolePolicyAttachment("m", role=role.name, policy_arn="{managed}")
    profile = aws.iam.InstanceProfile("p", role=role.name)
    pulumi.export("role", role.name)
    pulumi.export("profile", profile.name)
    """
    ).outputs
    iam = emulator.client("iam")

    role = iam.get_role(RoleName=outputs["role"])["Role"]
    assert role["AssumeRolePolicyDocument"] == TRUST
    assert {tag["Key"]: tag["Value"] for tag in role["Tags"]} == TAGS
    assert iam.get_role_policy(RoleName=outputs["role"], PolicyName="grant")["PolicyDocument"] == GRANT
    (attached,) = iam.list_attached_role_policies(RoleName=outputs["role"])["AttachedPolicies"]
    assert attached["PolicyArn"] == managed
    profile = iam.get_instance_profile(InstanceProfileName=outputs["profile"])["InstanceProfile"]
    assert [held["RoleName"] for held in profile["Roles"]] == [outputs["role"]]


def test_key_with_rotation_policy_and_alias(deploy_source: DeploySource, emulator: Emulator) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}],
    }
    outputs = deploy_source(
        f"""
    key = aws.kms.Key("k", description="d", enable_key_rotation=True)
    aws.kms.KeyPolicy("p", key_id=key.key_id, policy=json.dumps({policy!r}))
    aws.kms.Alias("a", name="alias/tiny", target_key_id=key.key_id)
    pulumi.export("id", key.id)
    """
    ).outputs
    kms = emulator.client("kms")

    assert kms.describe_key(KeyId="alias/tiny")["KeyMetadata"]["KeyId"] == outputs["id"]
    assert kms.get_key_rotation_status(KeyId=outputs["id"])["KeyRotationEnabled"] is True
    kept = kms.get_key_policy(KeyId=outputs["id"], PolicyName="default")["Policy"]
    assert json.loads(kept) == policy
