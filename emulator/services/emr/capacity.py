"""Capacity of a cluster: checks of instance groups or fleets, subnets, scaling and idle policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emulator.wire import ServiceError

PRIMARY, CORE = "MASTER", "CORE"
FLEET_UNITS = "InstanceFleetUnits"
SPOT_TIMEOUT_MINUTES = range(5, 1441)  # EMR API, SpotProvisioningSpecification
IDLE_TIMEOUT_S = range(60, 604_801)  # EMR API, AutoTerminationPolicy


def has_fleets(flow: Mapping[str, Any]) -> bool:
    """Whether a request has instance fleets."""
    return bool(flow.get("Instances", {}).get("InstanceFleets"))


def subnets_of(flow: Mapping[str, Any]) -> list[str]:
    """Subnet ids of a request."""
    instances = flow.get("Instances", {})
    return list(instances.get("Ec2SubnetIds") or filter(None, [instances.get("Ec2SubnetId")]))


def validate_capacity(flow: Mapping[str, Any]) -> None:
    """Check groups, fleets and their policies as EMR does.

    Raises:
        ServiceError: ValidationException, naming the field.
    """
    instances = flow.get("Instances", {})
    groups, fleets = instances.get("InstanceGroups", []), instances.get("InstanceFleets", [])
    if groups and fleets:
        raise _invalid("Instances: instance groups and instance fleets cannot be in one cluster")
    if instances.get("Ec2SubnetId") and instances.get("Ec2SubnetIds"):
        raise _invalid("Instances: write Ec2SubnetId or Ec2SubnetIds, not both")
    if len(instances.get("Ec2SubnetIds", [])) > 1 and not fleets:
        raise _invalid("Instances.Ec2SubnetIds: several subnets require instance fleets")
    _check_roles("InstanceGroups", "group", [group["InstanceRole"] for group in groups])
    _check_roles("InstanceFleets", "fleet", [fleet["InstanceFleetType"] for fleet in fleets])
    for fleet in fleets:
        _check_fleet(fleet)
    _check_scaling(flow.get("ManagedScalingPolicy", {}).get("ComputeLimits", {}), bool(fleets))
    idle_timeout_s = flow.get("AutoTerminationPolicy", {}).get("IdleTimeout")
    if idle_timeout_s is not None and idle_timeout_s not in IDLE_TIMEOUT_S:
        raise _invalid(f"AutoTerminationPolicy.IdleTimeout: {idle_timeout_s} is not between 60 and 604800")


def _check_roles(field: str, noun: str, roles: Sequence[str]) -> None:
    if roles and roles.count(PRIMARY) != 1:
        raise _invalid(f"Instances.{field}: exactly one {PRIMARY} {noun} is needed")
    if roles.count(CORE) > 1 or (noun == "fleet" and len(set(roles)) < len(roles)):
        raise _invalid(f"Instances.{field}: two {noun}s have the same role")


def _check_fleet(fleet: Mapping[str, Any]) -> None:
    role = fleet["InstanceFleetType"]
    field = f"Instances.InstanceFleets: the {role} fleet"
    target = fleet.get("TargetOnDemandCapacity", 0) + fleet.get("TargetSpotCapacity", 0)
    if target < 1 or (role == PRIMARY and target != 1):
        raise _invalid(f"{field} has a target capacity of {target}")
    if not fleet.get("InstanceTypeConfigs"):
        raise _invalid(f"{field} has no InstanceTypeConfigs")
    if fleet.get("TargetSpotCapacity") and not fleet.get("LaunchSpecifications", {}).get("SpotSpecification"):
        raise _invalid(f"{field} has spot capacity without a SpotSpecification")
    for config in fleet["InstanceTypeConfigs"]:
        weight = config.get("WeightedCapacity", 1)
        if role != PRIMARY and weight > target:
            raise _invalid(
                f"{field}: {config['InstanceType']} has weight {weight}, more than the target {target}"
            )
    spot = fleet.get("LaunchSpecifications", {}).get("SpotSpecification", {})
    minutes = spot.get("TimeoutDurationMinutes")
    if minutes is not None and minutes not in SPOT_TIMEOUT_MINUTES:
        raise _invalid(f"{field}: TimeoutDurationMinutes {minutes} is not between 5 and 1440")


def _check_scaling(limits: Mapping[str, Any], has_fleets: bool) -> None:
    if not limits:
        return
    field = "ManagedScalingPolicy.ComputeLimits"
    if (limits["UnitType"] == FLEET_UNITS) != has_fleets:
        kind = "fleets" if has_fleets else "groups"
        raise _invalid(f"{field}: UnitType {limits['UnitType']} is not valid for instance {kind}")
    maximum = limits["MaximumCapacityUnits"]
    for name in ("MinimumCapacityUnits", "MaximumCoreCapacityUnits", "MaximumOnDemandCapacityUnits"):
        if limits.get(name, 0) > maximum:
            raise _invalid(f"{field}: {name} {limits[name]} is more than MaximumCapacityUnits {maximum}")


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)
