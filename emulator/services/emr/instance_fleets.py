"""Instance fleets, which moto does not implement; their state follows the state of their cluster."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from moto.core.utils import utcnow

ID_LETTERS = string.ascii_uppercase + string.digits
# Fleet state by cluster state; TERMINATED for all others.
FLEET_STATES = {
    "STARTING": "PROVISIONING",
    "BOOTSTRAPPING": "BOOTSTRAPPING",
    "RUNNING": "RUNNING",
    "WAITING": "RUNNING",
    "TERMINATING": "TERMINATING",
}
# Fields of the request that ListInstanceFleets returns.
REQUEST_FIELDS = (
    "Name",
    "InstanceFleetType",
    "TargetOnDemandCapacity",
    "TargetSpotCapacity",
    "LaunchSpecifications",
    "ResizeSpecifications",
    "Context",
)


class InstanceFleet:
    """One instance fleet of a cluster."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._id = "if-" + "".join(secrets.choice(ID_LETTERS) for _ in range(13))
        self._created: datetime = utcnow()
        self._ready: datetime | None = None
        self._ended: datetime | None = None
        self._state = "PROVISIONING"

    def set_cluster_state(self, cluster_state: str) -> None:
        """Follow the state of the cluster; all capacity is provisioned when the cluster runs."""
        self._state = FLEET_STATES.get(cluster_state, "TERMINATED")
        if self._state == "RUNNING" and self._ready is None:
            self._ready = utcnow()
        if self._state == "TERMINATED":
            self._ended = utcnow()

    def describe(self) -> dict[str, Any]:
        """The fleet's entry in ListInstanceFleets."""
        config, running = self._config, self._state == "RUNNING"
        timeline = {
            "CreationDateTime": self._created,
            "ReadyDateTime": self._ready,
            "EndDateTime": self._ended,
        }
        return {
            "Id": self._id,
            **{name: config[name] for name in REQUEST_FIELDS if name in config},
            "Status": {
                "State": self._state,
                "StateChangeReason": {"Message": ""},
                "Timeline": {name: moment for name, moment in timeline.items() if moment},
            },
            "ProvisionedOnDemandCapacity": config.get("TargetOnDemandCapacity", 0) if running else 0,
            "ProvisionedSpotCapacity": config.get("TargetSpotCapacity", 0) if running else 0,
            "InstanceTypeSpecifications": [
                _type_specification(each) for each in config["InstanceTypeConfigs"]
            ],
        }


def _type_specification(config: Mapping[str, Any]) -> dict[str, Any]:
    """Instance type in ListInstanceFleets, with one entry for each disk."""
    ebs = config.get("EbsConfiguration", {})
    disks = [
        disk["VolumeSpecification"]
        for disk in ebs.get("EbsBlockDeviceConfigs", [])
        for _ in range(disk.get("VolumesPerInstance", 1))
    ]
    fields = {name: value for name, value in config.items() if name != "EbsConfiguration"}
    return {
        "WeightedCapacity": 1,
        **fields,
        "EbsBlockDevices": [
            {"VolumeSpecification": disk, "Device": f"/dev/sd{letter}"}
            for disk, letter in zip(disks, string.ascii_lowercase[1:], strict=False)
        ],
        "EbsOptimized": ebs.get("EbsOptimized", False),
    }
