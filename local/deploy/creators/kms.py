"""Creators of KMS keys, their policies and aliases."""

from __future__ import annotations

from typing import Any

from local.deploy.context import Context, Creator, tag_list
from local.deploy.inputs import Inputs

DEFAULT_ROTATION_DAYS = 365  # KMS API, EnableKeyRotation


def key(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    kms = context.client("kms")
    sent = inputs.pick(
        {
            "description": "Description",
            "multiRegion": "MultiRegion",
            "keyUsage": "KeyUsage",
            "policy": "Policy",
        }
    )
    metadata = kms.create_key(**sent, Tags=tag_list(inputs, "TagKey", "TagValue"))["KeyMetadata"]
    key_id = metadata["KeyId"]
    policy = kms.get_key_policy(KeyId=key_id, PolicyName="default")["Policy"]
    inputs.compare(sent, metadata | {"Policy": policy})
    if inputs.get("enableKeyRotation", False):
        period = inputs.pick({"rotationPeriodInDays": "RotationPeriodInDays"})
        kms.enable_key_rotation(KeyId=key_id, **period)
        status = kms.get_key_rotation_status(KeyId=key_id)
        inputs.compare(
            {"EnableKeyRotation": True, **period},
            {"EnableKeyRotation": status.pop("KeyRotationEnabled"), **status},
        )
    return key_id, {
        "arn": metadata["Arn"],
        "keyId": key_id,
        "description": metadata["Description"],
        "multiRegion": metadata.get("MultiRegion", False),
        "policy": policy,
        "rotationPeriodInDays": inputs.get("rotationPeriodInDays", DEFAULT_ROTATION_DAYS),
    }


def key_policy(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    kms = context.client("kms")
    key_id = inputs["keyId"]
    sent = {"Policy": inputs["policy"]}
    kms.put_key_policy(KeyId=key_id, PolicyName="default", **sent)
    inputs.compare(sent, kms.get_key_policy(KeyId=key_id, PolicyName="default"))
    return key_id, {}


def alias(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    alias_name = context.name_of(inputs, f"alias/{name}", max_length=256)
    key_id = inputs["targetKeyId"]
    context.client("kms").create_alias(AliasName=alias_name, TargetKeyId=key_id)
    key_arn = context.client("kms").describe_key(KeyId=alias_name)["KeyMetadata"]["Arn"]
    return alias_name, {
        "name": alias_name,
        "arn": context.arn("kms", alias_name),
        "targetKeyArn": key_arn,
        "targetKeyId": key_id,
    }


CREATORS: dict[str, Creator] = {
    "aws:kms/key:Key": key,
    "aws:kms/keyPolicy:KeyPolicy": key_policy,
    "aws:kms/alias:Alias": alias,
}
