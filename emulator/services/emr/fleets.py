"""Instance fleets, which moto lacks: kept as they were asked for, and moved along with their cluster."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from moto.core.utils import utcnow

ID_LETTERS = string.ascii_uppercase + string.digits
STATES = {
    "STARTING": "PROVISIONING",
    "BOOTSTRAPPING": "BOOTSTRAPPING",
    "RUNNING": "RUNNING",
    "WAITING": "RUNNING",
    "TERMINATING": "TERMINATING",
}
"""Cluster state to fleet state; whatever else is the end."""
KEPT = (
    *("Name", "InstanceFleetType", "TargetOnDemandCapacity", "TargetSpotCapacity"),
    *("LaunchSpecifications", "ResizeSpecifications", "Context"),
)


class Fleet:
    """One fleet of a cluster."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._id = "if-" + "".join(secrets.choice(ID_LETTERS) for _ in range(13))
        self._created: datetime = utcnow()
        self._ready: datetime | None = None
        self._ended: datetime | None = None
        self._state = "PROVISIONING"

    def follow(self, cluster_state: str) -> None:
        """Goes where its cluster goes; capacity is there, whole, when the cluster is ready."""
        self._state = STATES.get(cluster_state, "TERMINATED")
        if self._state == "RUNNING" and self._ready is None:
            self._ready = utcnow()
        if self._state == "TERMINATED":
            self._ended = utcnow()

    def describe(self) -> dict[str, Any]:
        """As ListInstanceFleets shows it."""
        config, is_there = self._config, self._state == "RUNNING"
        timeline = {
            "CreationDateTime": self._created,
            "ReadyDateTime": self._ready,
            "EndDateTime": self._ended,
        }
        return {
            "Id": self._id,
            **{name: config[name] for name in KEPT if name in config},
            "Status": {
                "State": self._state,
                "StateChangeReason": {"Message": ""},
                "Timeline": {name: moment for name, moment in timeline.items() if moment},
            },
            "ProvisionedOnDemandCapacity": config.get("TargetOnDemandCapacity", 0) if is_there else 0,
            "ProvisionedSpotCapacity": config.get("TargetSpotCapacity", 0) if is_there else 0,
            "InstanceTypeSpecifications": [_specification(each) for each in config["InstanceTypeConfigs"]],
        }


def _specification(config: Mapping[str, Any]) -> dict[str, Any]:
    """An instance type as the service tells it back: its disks one by one."""
    ebs = config.get("EbsConfiguration", {})
    disks = [
        disk["VolumeSpecification"]
        for disk in ebs.get("EbsBlockDeviceConfigs", [])
        for _ in range(disk.get("VolumesPerInstance", 1))
    ]
    told = {name: value for name, value in config.items() if name != "EbsConfiguration"}
    return {
        "WeightedCapacity": 1,
        **told,
        "EbsBlockDevices": [
            {"VolumeSpecification": disk, "Device": f"/dev/sd{letter}"}
            for disk, letter in zip(disks, string.ascii_lowercase[1:], strict=False)
        ],
        "EbsOptimized": ebs.get("EbsOptimized", False),
    }
