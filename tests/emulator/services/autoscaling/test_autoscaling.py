"""The AWS provider registers, tags and deregisters a scalable target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator

SCALABLE = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/ncf/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
TRACKING = {
    "TargetValue": 600.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
}


@pytest.fixture
def scaling(emulator: Emulator) -> Iterator[Any]:
    """Client, with one target that has tags and a policy."""
    client = emulator.client("application-autoscaling")
    client.register_scalable_target(**SCALABLE, MinCapacity=1, MaxCapacity=2, Tags={"Stage": "dev"})
    client.put_scaling_policy(
        PolicyName="invocations",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=TRACKING,
        **SCALABLE,
    )
    yield client
    if client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]:
        client.deregister_scalable_target(**SCALABLE)


def arn(scaling: Any) -> str:
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    return str(target["ScalableTargetARN"])


def test_tags_of_a_target_are_kept_changed_and_removed(scaling: Any) -> None:
    assert scaling.list_tags_for_resource(ResourceARN=arn(scaling))["Tags"] == {"Stage": "dev"}
    scaling.tag_resource(ResourceARN=arn(scaling), Tags={"Owner": "us"})
    scaling.untag_resource(ResourceARN=arn(scaling), TagKeys=["Stage"])
    assert scaling.list_tags_for_resource(ResourceARN=arn(scaling))["Tags"] == {"Owner": "us"}


def test_tags_of_an_unknown_target_are_an_error(scaling: Any) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        scaling.list_tags_for_resource(ResourceARN=arn(scaling) + "x")


def test_deregistration_deletes_the_policies_of_the_target(scaling: Any) -> None:
    scaling.deregister_scalable_target(**SCALABLE)
    assert scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"] == []
    with pytest.raises(ClientError, match="ObjectNotFoundException"):
        scaling.deregister_scalable_target(**SCALABLE)
    with pytest.raises(ClientError, match="ObjectNotFoundException"):
        scaling.delete_scaling_policy(PolicyName="invocations", **SCALABLE)


OTHER = SCALABLE | {"ResourceId": "endpoint/other/variant/AllTraffic"}


# API reference, RegisterScalableTarget: "This property is required when registering a new scalable target",
# and an update keeps what it leaves out; PutScalingPolicy: the target must be registered.
@pytest.mark.parametrize(
    ("operation", "parameters", "message"),
    [
        ("register_scalable_target", {**OTHER, "MaxCapacity": 2}, "MinCapacity is required"),
        ("register_scalable_target", {**OTHER, "MinCapacity": 1}, "MaxCapacity is required"),
        ("register_scalable_target", {**OTHER, "MinCapacity": 3, "MaxCapacity": 2}, "cannot be less than"),
        ("register_scalable_target", {**SCALABLE, "MinCapacity": 3}, "cannot be less than"),
        (
            "put_scaling_policy",
            {**OTHER, "PolicyName": "p", "PolicyType": "TargetTrackingScaling"},
            "No scalable target found",
        ),
        (
            "put_scaling_policy",
            {**SCALABLE, "PolicyName": "p", "PolicyType": "TargetTrackingScaling"},
            "TargetTrackingScalingPolicyConfiguration is required",
        ),
    ],
)
def test_incomplete_targets_and_policies_are_refused(
    scaling: Any, operation: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        getattr(scaling, operation)(**parameters)
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 2)
    assert len(scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]) == 1


def test_update_of_a_target_keeps_what_it_leaves_out(scaling: Any) -> None:
    scaling.register_scalable_target(**SCALABLE, MaxCapacity=5)
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 5)
