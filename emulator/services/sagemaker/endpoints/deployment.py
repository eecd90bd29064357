"""Blue/green deployment of an endpoint: shifts traffic to the new fleet, or back to the old one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emulator.region import Region
from emulator.services.sagemaker.endpoints.fleet import EndpointFleet
from emulator.services.sagemaker.endpoints.variant import FleetStartError
from emulator.services.sagemaker.errors import not_emulated

MAX_BAKING_S = 1.0  # SageMaker has no such limit: it waits for the whole period
ALARM_INTERVAL_S = 0.2


@dataclass(frozen=True)
class RolloutPolicy:
    """Traffic shifting and automatic rollback of a deployment.

    Attributes:
        shares: share of the traffic on the new fleet after each step; the last one is 1.
        wait_s: baking period after each step except the last.
        termination_wait_s: baking period after the last step.
        alarms: names of the alarms whose ALARM state during a baking period rolls the deployment back.
    """

    shares: Sequence[float] = (1.0,)
    wait_s: float = 0.0
    termination_wait_s: float = 0.0
    alarms: Sequence[str] = field(default_factory=tuple)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], max_baking_s: float = MAX_BAKING_S) -> RolloutPolicy:
        """Policy of a DeploymentConfig; the default moves all traffic at once.

        Args:
            max_baking_s: longer waiting and baking periods are cut to this.

        Raises:
            ServiceError: rolling update.
        """
        if config.get("RollingUpdatePolicy"):
            raise not_emulated("RollingUpdatePolicy")
        blue_green = config.get("BlueGreenUpdatePolicy") or {}
        routing = blue_green.get("TrafficRoutingConfiguration") or {"Type": "ALL_AT_ONCE"}
        alarms = (config.get("AutoRollbackConfiguration") or {}).get("Alarms", [])
        return cls(
            shares=_shares(routing),
            wait_s=min(routing.get("WaitIntervalInSeconds", 0), max_baking_s),
            termination_wait_s=min(blue_green.get("TerminationWaitInSeconds", 0), max_baking_s),
            alarms=tuple(alarm["AlarmName"] for alarm in alarms),
        )


class RolloutFailedError(Exception):
    """A deployment failed; the message is the endpoint's FailureReason."""


@dataclass
class Rollout:
    """One deployment of a fleet.

    Attributes:
        set_share: called with the share of the traffic that the new fleet receives.
    """

    region: Region
    fleet: EndpointFleet
    policy: RolloutPolicy
    set_share: Callable[[float], None]

    def run(self) -> None:
        """Start the fleet and move the traffic to it.

        Raises:
            RolloutFailedError: the fleet did not start, or an alarm is in ALARM.
        """
        try:
            self.fleet.start()
        except FleetStartError as error:
            raise RolloutFailedError(str(error)) from error
        *early, last = self.policy.shares
        for share in early:
            self.set_share(share)
            self._bake(self.policy.wait_s)
        self.set_share(last)
        self._bake(self.policy.termination_wait_s)

    def _bake(self, seconds: float) -> None:
        """Wait, and check the alarms at least once."""
        deadline = time.monotonic() + seconds
        while True:
            in_alarm = self._alarms_in_alarm()
            if in_alarm:
                names = ", ".join(in_alarm)
                raise RolloutFailedError(
                    f"One or more alarms configured for automatic rollback are in ALARM state: {names}. "
                    "The endpoint update was rolled back."
                )
            if time.monotonic() >= deadline:
                return
            time.sleep(ALARM_INTERVAL_S)

    def _alarms_in_alarm(self) -> list[str]:
        if not self.policy.alarms:
            return []
        found = find_alarms(self.region, self.policy.alarms)
        return [alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"]


def find_alarms(region: Region, names: Sequence[str]) -> list[Mapping[str, Any]]:
    """Existing alarms with these names."""
    answer = region.client("cloudwatch").describe_alarms(
        AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    return [*answer["MetricAlarms"], *answer["CompositeAlarms"]]


def _shares(routing: Mapping[str, Any]) -> list[float]:
    """Shares after each step; one instance counts as a tenth, because each variant is one process."""
    kind = routing["Type"]
    if kind == "CANARY":
        return [_share(routing.get("CanarySize")), 1.0]
    if kind == "LINEAR":
        step = max(_share(routing.get("LinearStepSize")), 0.1)
        n_steps = max(1, round(1 / step))
        return [min(1.0, step * (number + 1)) for number in range(n_steps - 1)] + [1.0]
    return [1.0]


def _share(size: Mapping[str, Any] | None) -> float:
    if not size:
        return 0.1
    scale = 100 if size["Type"] == "CAPACITY_PERCENT" else 10
    return min(1.0, size["Value"] / scale)
