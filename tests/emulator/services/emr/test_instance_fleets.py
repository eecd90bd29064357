"""Instance fleets: described as requested, and refused when EMR would refuse them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from tests.emulator.services.emr.conftest import await_state, ended


def fleet(role: str, on_demand: int, spot: int = 0, **changes: Any) -> dict[str, Any]:
    """Instance fleet of one instance type, with one disk per node."""
    disk = {"VolumeSpecification": {"VolumeType": "gp3", "SizeInGB": 64}, "VolumesPerInstance": 1}
    type_ = {
        "InstanceType": "r5.xlarge",
        "WeightedCapacity": 1 if role == "MASTER" else 4,
        "EbsConfiguration": {"EbsBlockDeviceConfigs": [disk]},
    }
    launch = {"SpotSpecification": {"TimeoutDurationMinutes": 10, "TimeoutAction": "SWITCH_TO_ON_DEMAND"}}
    return {
        "InstanceFleetType": role,
        "Name": role.title(),
        "TargetOnDemandCapacity": on_demand,
        "TargetSpotCapacity": spot,
        "InstanceTypeConfigs": [type_],
        "LaunchSpecifications": launch,
        **changes,
    }


FLEETS = [fleet("MASTER", 1), fleet("CORE", 8), fleet("TASK", 0, 8)]
LIMITS = {"UnitType": "InstanceFleetUnits", "MinimumCapacityUnits": 8, "MaximumCapacityUnits": 32}


def with_fleets(flow: dict[str, Any], fleets: list[dict[str, Any]], **instances: Any) -> dict[str, Any]:
    """The flow with fleets instead of groups."""
    network = {"Ec2SubnetIds": [flow["Instances"]["Ec2SubnetId"]]}
    return {**flow, "Instances": {**network, "InstanceFleets": fleets, **instances}}


def test_fleets_and_policies_are_described_as_requested(emulator: Emulator, flow: dict[str, Any]) -> None:
    emr = emulator.client("emr")
    requested = with_fleets(flow, FLEETS, KeepJobFlowAliveWhenNoSteps=True)
    cluster_id = emr.run_job_flow(
        **requested,
        ManagedScalingPolicy={"ComputeLimits": LIMITS},
        AutoTerminationPolicy={"IdleTimeout": 900},
    )["JobFlowId"]

    await_state(emulator, cluster_id, "WAITING")
    cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
    assert cluster["InstanceCollectionType"] == "INSTANCE_FLEET"
    network = cluster["Ec2InstanceAttributes"]
    assert (
        [network["Ec2SubnetId"]] == network["RequestedEc2SubnetIds"] == requested["Instances"]["Ec2SubnetIds"]
    )
    pages = emr.get_paginator("list_instance_fleets").paginate(ClusterId=cluster_id)
    fleets = {each["InstanceFleetType"]: each for page in pages for each in page["InstanceFleets"]}
    assert {role: each["Status"]["State"] for role, each in fleets.items()} == dict.fromkeys(
        ("MASTER", "CORE", "TASK"), "RUNNING"
    )
    task = fleets["TASK"]
    assert (task["TargetSpotCapacity"], task["ProvisionedSpotCapacity"]) == (8, 8)
    assert task["LaunchSpecifications"] == FLEETS[2]["LaunchSpecifications"]
    (type_,) = task["InstanceTypeSpecifications"]
    assert (type_["InstanceType"], type_["WeightedCapacity"]) == ("r5.xlarge", 4)
    assert [disk["VolumeSpecification"]["SizeInGB"] for disk in type_["EbsBlockDevices"]] == [64]
    policy = emr.get_managed_scaling_policy(ClusterId=cluster_id)["ManagedScalingPolicy"]
    assert policy["ComputeLimits"] == LIMITS
    idle = emr.get_auto_termination_policy(ClusterId=cluster_id)["AutoTerminationPolicy"]
    assert idle == {"IdleTimeout": 900}

    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    ended(emulator, cluster_id)
    after = emr.list_instance_fleets(ClusterId=cluster_id)["InstanceFleets"]
    assert {each["Status"]["State"] for each in after} == {"TERMINATED"}
    assert {each["ProvisionedSpotCapacity"] for each in after} == {0}


def test_cluster_of_groups_has_no_fleets(emulator: Emulator, flow: dict[str, Any]) -> None:
    emr = emulator.client("emr")
    cluster_id = emr.run_job_flow(**flow)["JobFlowId"]
    assert ended(emulator, cluster_id)["InstanceCollectionType"] == "INSTANCE_GROUP"
    with pytest.raises(ClientError, match="mutually exclusive"):
        emr.list_instance_fleets(ClusterId=cluster_id)
    with pytest.raises(ClientError, match="Cluster id 'j-0' is not valid"):
        emr.list_instance_fleets(ClusterId="j-0")


@pytest.mark.parametrize(
    ("fleets", "changes", "message"),
    [
        ([fleet("CORE", 8)], {}, "exactly one MASTER fleet is needed"),
        ([fleet("MASTER", 2)], {}, "the MASTER fleet has a target capacity of 2"),
        ([*FLEETS, fleet("TASK", 4)], {}, "two fleets have the same role"),
        ([fleet("MASTER", 1), fleet("CORE", 0)], {}, "the CORE fleet has a target capacity of 0"),
        ([fleet("MASTER", 1), fleet("CORE", 2)], {}, "r5.xlarge has weight 4, more than the target 2"),
        ([fleet("MASTER", 1, InstanceTypeConfigs=[])], {}, "the MASTER fleet has no InstanceTypeConfigs"),
        (
            [fleet("MASTER", 1), fleet("CORE", 0, 4, LaunchSpecifications={})],
            {},
            "the CORE fleet has spot capacity without a SpotSpecification",
        ),
        (
            FLEETS,
            {"ManagedScalingPolicy": {"ComputeLimits": {**LIMITS, "UnitType": "Instances"}}},
            "UnitType Instances is not valid for instance fleets",
        ),
        (
            FLEETS,
            {"ManagedScalingPolicy": {"ComputeLimits": {**LIMITS, "MaximumCoreCapacityUnits": 64}}},
            "MaximumCoreCapacityUnits 64 is more than MaximumCapacityUnits 32",
        ),
        (FLEETS, {"AutoTerminationPolicy": {"IdleTimeout": 59}}, "59 is not between 60 and 604800"),
    ],
)
def test_invalid_capacity_is_refused(
    emulator: Emulator,
    flow: dict[str, Any],
    fleets: list[dict[str, Any]],
    changes: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ClientError, match=message):
        emulator.client("emr").run_job_flow(**{**with_fleets(flow, fleets), **changes})


def test_groups_and_fleets_together_are_refused(emulator: Emulator, flow: dict[str, Any]) -> None:
    both = with_fleets(flow, FLEETS, InstanceGroups=flow["Instances"]["InstanceGroups"])
    with pytest.raises(ClientError, match="cannot be in one cluster"):
        emulator.client("emr").run_job_flow(**both)
