"""Instance fleets and managed scaling of a transient EMR cluster. One unit of capacity is one vCPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from components.spark.instance_types import InstanceType, instance_type
from components.spark.sizing import Sizing, size

MAX_TYPES = 30  # EMR management guide, instance fleets with an allocation strategy
MIN_SPOT_TIMEOUT_MINUTES, MAX_SPOT_TIMEOUT_MINUTES = 5, 1440  # EMR API, SpotProvisioningSpecification
MIN_VOLUME_GIB, MAX_VOLUME_GIB = 10, 16_384  # EMR management guide, minimum EBS volume; EBS user guide, gp3
MIN_IDLE_TIMEOUT_S, MAX_IDLE_TIMEOUT_S = 60, 604_800  # EMR API, AutoTerminationPolicy
TIMEOUT_ACTIONS: Mapping[str, str] = {"on_demand": "SWITCH_TO_ON_DEMAND", "fail": "TERMINATE_CLUSTER"}


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Instance fleet of one node role.

    Attributes:
        instance_types: types that EMR may choose from; more types make sufficient capacity more likely.
        units: target capacity at launch, in vCPUs. 0 omits task nodes; the primary fleet is always one node.
    """

    instance_types: Sequence[str] = ("r5.xlarge",)
    units: int = 0

    def __post_init__(self) -> None:
        if not 1 <= len(self.instance_types) <= MAX_TYPES:
            raise ValueError(f"instance_types: write 1 to {MAX_TYPES} types")
        if len(set(self.instance_types)) < len(self.instance_types):
            raise ValueError(f"instance_types: {', '.join(self.instance_types)} contains a type twice")
        smallest = min(node.vcpus for node in self.nodes)
        if self.units and self.units < smallest:
            raise ValueError(f"units is {self.units}, fewer than the {smallest} vCPUs of the smallest type")

    @property
    def nodes(self) -> list[InstanceType]:
        """The instance types with their vCPUs and memory."""
        return [instance_type(name) for name in self.instance_types]


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Provisioning of spot capacity for task nodes.

    Attributes:
        timeout_minutes: how long EMR tries to provision the capacity at launch.
        otherwise: action after the timeout: ``on_demand`` provisions on-demand capacity, ``fail`` terminates
            the cluster.
    """

    timeout_minutes: int = 10
    otherwise: Literal["on_demand", "fail"] = "on_demand"

    def __post_init__(self) -> None:
        if not MIN_SPOT_TIMEOUT_MINUTES <= self.timeout_minutes <= MAX_SPOT_TIMEOUT_MINUTES:
            raise ValueError(
                f"timeout_minutes {self.timeout_minutes}: "
                f"EMR takes {MIN_SPOT_TIMEOUT_MINUTES} to {MAX_SPOT_TIMEOUT_MINUTES}"
            )

    def specification(self) -> dict[str, Any]:
        """``SpotSpecification`` of an instance fleet."""
        return {
            "AllocationStrategy": "capacity-optimized",  # the pools with the lowest risk of interruption
            "TimeoutDurationMinutes": self.timeout_minutes,
            "TimeoutAction": TIMEOUT_ACTIONS[self.otherwise],
        }


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Bounds of EMR managed scaling, in vCPUs of core and task nodes together."""

    min_units: int = 8
    max_units: int = 16
    max_core_units: int = 8
    max_on_demand_units: int = 16


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Nodes of a cluster; the defaults have the size of the cluster in the AWS blog post (README).

    Primary and core nodes are on-demand instances, because the cluster fails without them. Task nodes store
    no HDFS data and are spot instances.

    Attributes:
        volume_gib: size of each node's EBS volume, which holds shuffle files.
        idle_timeout_s: terminates an idle cluster that did not terminate after its step.
    """

    primary: Fleet = field(default_factory=Fleet)
    core: Fleet = field(default_factory=lambda: Fleet(units=8))
    task: Fleet = field(default_factory=lambda: Fleet(units=8))
    spot: Spot = field(default_factory=Spot)
    scaling: Scaling = field(default_factory=Scaling)
    volume_gib: int = 64
    idle_timeout_s: int = 900

    def __post_init__(self) -> None:
        scaling, start = self.scaling, self.core.units + self.task.units
        if not MIN_VOLUME_GIB <= self.volume_gib <= MAX_VOLUME_GIB:
            raise ValueError(f"volume_gib is {self.volume_gib}: write {MIN_VOLUME_GIB} to {MAX_VOLUME_GIB}")
        if not MIN_IDLE_TIMEOUT_S <= self.idle_timeout_s <= MAX_IDLE_TIMEOUT_S:
            raise ValueError(
                f"idle_timeout_s is {self.idle_timeout_s}: write {MIN_IDLE_TIMEOUT_S} to {MAX_IDLE_TIMEOUT_S}"
            )
        if self.primary.units:
            raise ValueError(
                f"primary: units is {self.primary.units}, but there is one primary node: leave it out"
            )
        if not self.core.units:
            raise ValueError("core: units is 0, but HDFS needs at least one core node")
        if not scaling.min_units <= start <= scaling.max_units:
            raise ValueError(
                f"scaling: core and task start with {start} units, which is not between "
                f"min_units {scaling.min_units} and max_units {scaling.max_units}"
            )
        for name in ("max_core_units", "max_on_demand_units"):
            bound = getattr(scaling, name)
            if not self.core.units <= bound <= scaling.max_units:
                raise ValueError(
                    f"scaling: {name} is {bound}: write {self.core.units} (core.units) "
                    f"to {scaling.max_units} (max_units)"
                )
        if self.task.units and self.spot.otherwise == "on_demand" and scaling.max_on_demand_units < start:
            raise ValueError(
                f"scaling: max_on_demand_units is {scaling.max_on_demand_units}, but without spot nodes "
                f"all {start} units are on demand"
            )

    def sizing(self) -> Sizing:
        """Sizes of executors and driver for these nodes."""
        nodes = [*self.core.nodes, *(self.task.nodes if self.task.units else [])]
        return size(nodes, self.scaling.max_units)

    def instance_fleets(self) -> list[dict[str, Any]]:
        """``InstanceFleets`` of RunJobFlow."""
        on_demand = {"OnDemandSpecification": {"AllocationStrategy": "lowest-price"}}
        fleets = [
            self._fleet("MASTER", "Primary", self.primary, {"TargetOnDemandCapacity": 1}, on_demand),
            self._fleet("CORE", "Core", self.core, {"TargetOnDemandCapacity": self.core.units}, on_demand),
        ]
        if self.task.units:
            spot = {**on_demand, "SpotSpecification": self.spot.specification()}
            fleets.append(
                self._fleet("TASK", "Task", self.task, {"TargetSpotCapacity": self.task.units}, spot)
            )
        return fleets

    def managed_scaling(self) -> dict[str, Any]:
        """``ManagedScalingPolicy`` of RunJobFlow."""
        return {
            "ComputeLimits": {
                "UnitType": "InstanceFleetUnits",
                "MinimumCapacityUnits": self.scaling.min_units,
                "MaximumCapacityUnits": self.scaling.max_units,
                "MaximumCoreCapacityUnits": self.scaling.max_core_units,
                "MaximumOnDemandCapacityUnits": self.scaling.max_on_demand_units,
            }
        }

    def _fleet(
        self,
        role: str,
        title: str,
        fleet: Fleet,
        capacity: dict[str, int],
        launch: dict[str, Any],
    ) -> dict[str, Any]:
        volume = {"VolumeSpecification": {"VolumeType": "gp3", "SizeInGB": self.volume_gib}}
        return {
            "Name": title,
            "InstanceFleetType": role,
            **capacity,
            "InstanceTypeConfigs": [
                {
                    "InstanceType": node.name,
                    "WeightedCapacity": node.vcpus if fleet.units else 1,
                    "EbsConfiguration": {
                        "EbsBlockDeviceConfigs": [{**volume, "VolumesPerInstance": 1}],
                        "EbsOptimized": True,
                    },
                }
                for node in fleet.nodes
            ],
            "LaunchSpecifications": launch,
        }
