"""Instance fleets, managed scaling and instance types of a cluster."""

from __future__ import annotations

from typing import Any

import pytest
from moto.ec2.models.instance_types import INSTANCE_TYPES

from components.spark.cluster import Cluster, Fleet, Scaling, Spot
from components.spark.instance_types import FAMILIES, InstanceType, instance_type

WIDE = Scaling(min_units=4, max_units=64, max_core_units=64, max_on_demand_units=64)


def test_weighted_capacity_is_vcpus_and_one_for_the_primary_node() -> None:
    cluster = Cluster(
        primary=Fleet(instance_types=["m5.xlarge", "m5.2xlarge"]),
        core=Fleet(instance_types=["r5.xlarge", "r5.2xlarge"], units=8),
    )
    weights = {
        fleet["InstanceFleetType"]: [each["WeightedCapacity"] for each in fleet["InstanceTypeConfigs"]]
        for fleet in cluster.instance_fleets()
    }
    assert weights == {"MASTER": [1, 1], "CORE": [4, 8], "TASK": [4]}


def test_every_node_has_a_volume_of_the_given_size() -> None:
    for fleet in Cluster(volume_gib=100).instance_fleets():
        for each in fleet["InstanceTypeConfigs"]:
            (disk,) = each["EbsConfiguration"]["EbsBlockDeviceConfigs"]
            assert disk["VolumeSpecification"] == {"VolumeType": "gp3", "SizeInGB": 100}


def test_managed_scaling_has_bounds_in_fleet_units() -> None:
    scaling = Scaling(min_units=8, max_units=64, max_core_units=16, max_on_demand_units=32)
    assert Cluster(scaling=scaling).managed_scaling() == {
        "ComputeLimits": {
            "UnitType": "InstanceFleetUnits",
            "MinimumCapacityUnits": 8,
            "MaximumCapacityUnits": 64,
            "MaximumCoreCapacityUnits": 16,
            "MaximumOnDemandCapacityUnits": 32,
        }
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cluster(core=Fleet()), "core: units is 0, but HDFS needs at least one core node"),
        (lambda: Cluster(primary=Fleet(units=4)), "primary: units is 4, but there is one primary node"),
        (lambda: Fleet(instance_types=["r5.2xlarge"], units=4), "units is 4, fewer than the 8 vCPUs"),
        (lambda: Fleet(instance_types=[], units=4), "instance_types: write 1 to 30"),
        (lambda: Fleet(instance_types=["r5.xlarge"] * 2), "r5.xlarge, r5.xlarge contains a type twice"),
        (lambda: Spot(timeout_minutes=4), "timeout_minutes 4: EMR takes 5 to 1440"),
        (lambda: Cluster(core=Fleet(units=12)), "core and task start with 20 units"),
        (
            lambda: Cluster(scaling=Scaling(max_core_units=4)),
            r"max_core_units is 4: write 8 \(core.units\) to 16 \(max_units\)",
        ),
        (
            lambda: Cluster(scaling=Scaling(max_on_demand_units=8)),
            "max_on_demand_units is 8, but without spot nodes all 16 units are on demand",
        ),
    ],
)
def test_invalid_cluster_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_cluster_that_fails_without_spot_needs_no_on_demand_capacity() -> None:
    cluster = Cluster(spot=Spot(otherwise="fail"), scaling=Scaling(max_on_demand_units=8))
    task = cluster.instance_fleets()[-1]
    assert task["LaunchSpecifications"]["SpotSpecification"]["TimeoutAction"] == "TERMINATE_CLUSTER"


def test_instance_type_has_memory_of_its_family_and_vcpus_of_its_size() -> None:
    assert instance_type("r5.xlarge") == InstanceType("r5.xlarge", 4, 32)
    assert instance_type("m6i.4xlarge") == InstanceType("m6i.4xlarge", 16, 64)
    assert instance_type("c5.9xlarge") == InstanceType("c5.9xlarge", 36, 72)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("m6g.xlarge", "Graviton processor, but the job's packages are built for x86-64: write m6i.xlarge"),
        ("r7gd.4xlarge", "Graviton.*write r7i.4xlarge"),
        ("c8gn.xlarge", "Graviton.*write one of m6i, r6i or c6i"),
        ("x1.xlarge", "x1.xlarge: unknown family; write one of c5, "),
        ("m5.large", "m5.large: unknown size; m5 has xlarge, "),
        ("xlarge", "xlarge: unknown family"),
    ],
)
def test_unknown_instance_type_is_refused_with_known_ones(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        instance_type(name)


def test_instance_types_match_ec2() -> None:
    names = [f"{family}.{size}" for family, sizes in FAMILIES.items() for size in sizes]
    described = {name: INSTANCE_TYPES[name] for name in names if name in INSTANCE_TYPES}
    assert len(described) > 100
    for name, of_ec2 in described.items():
        assert instance_type(name).vcpus == of_ec2["VCpuInfo"]["DefaultVCpus"], name
        assert instance_type(name).memory_gib * 1024 == of_ec2["MemoryInfo"]["SizeInMiB"], name
        assert of_ec2["ProcessorInfo"]["SupportedArchitectures"] == ["x86_64"], name
