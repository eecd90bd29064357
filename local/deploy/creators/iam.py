"""Creators of roles, their policies and instance profiles."""

from __future__ import annotations

from typing import Any

from local.deploy.context import Context, Creator, tag_list
from local.deploy.inputs import Inputs

MAX_ROLE_NAME = 64  # IAM quotas
MAX_INLINE_POLICY_NAME = 128
MAX_INSTANCE_PROFILE_NAME = 128


def role(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    iam = context.client("iam")
    sent = {
        "RoleName": context.name_of(inputs, name, max_length=MAX_ROLE_NAME),
        "AssumeRolePolicyDocument": inputs["assumeRolePolicy"],
        **inputs.pick(
            {"description": "Description", "path": "Path", "maxSessionDuration": "MaxSessionDuration"}
        ),
        **({"PermissionsBoundary": inputs["permissionsBoundary"]} if "permissionsBoundary" in inputs else {}),
        "Tags": tag_list(inputs),
    }
    iam.create_role(**sent)
    created = iam.get_role(RoleName=sent["RoleName"])["Role"]
    boundary = created.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    inputs.compare(sent, created | ({"PermissionsBoundary": boundary} if boundary else {}))
    return created["RoleName"], {
        "arn": created["Arn"],
        "name": created["RoleName"],
        "uniqueId": created["RoleId"],
        "path": created["Path"],
        "createDate": created["CreateDate"].isoformat(),
    }


def role_policy(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    iam = context.client("iam")
    sent = {
        "RoleName": inputs["role"],
        "PolicyName": context.name_of(inputs, name, max_length=MAX_INLINE_POLICY_NAME),
        "PolicyDocument": inputs["policy"],
    }
    iam.put_role_policy(**sent)
    inputs.compare(sent, iam.get_role_policy(RoleName=sent["RoleName"], PolicyName=sent["PolicyName"]))
    return f"{sent['RoleName']}:{sent['PolicyName']}", {"name": sent["PolicyName"]}


def role_policy_attachment(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    role_name, policy_arn = inputs["role"], inputs["policyArn"]
    context.client("iam").attach_role_policy(RoleName=role_name, PolicyArn=policy_arn)
    return f"{role_name}/{policy_arn}", {}


def instance_profile(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    iam = context.client("iam")
    sent = {
        "InstanceProfileName": context.name_of(inputs, name, max_length=MAX_INSTANCE_PROFILE_NAME),
        **inputs.pick({"path": "Path"}),
        "Tags": tag_list(inputs),
    }
    profile = iam.create_instance_profile(**sent)["InstanceProfile"]
    inputs.compare(sent, profile)
    iam.add_role_to_instance_profile(InstanceProfileName=sent["InstanceProfileName"], RoleName=inputs["role"])
    return profile["InstanceProfileName"], {
        "arn": profile["Arn"],
        "name": profile["InstanceProfileName"],
        "uniqueId": profile["InstanceProfileId"],
        "createDate": profile["CreateDate"].isoformat(),
    }


CREATORS: dict[str, Creator] = {
    "aws:iam/role:Role": role,
    "aws:iam/rolePolicy:RolePolicy": role_policy,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": role_policy_attachment,
    "aws:iam/instanceProfile:InstanceProfile": instance_profile,
}
