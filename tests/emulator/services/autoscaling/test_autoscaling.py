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
