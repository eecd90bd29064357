"""Blue/green deployment: a new fleet takes the traffic over, or the old one keeps it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emulator.services.sagemaker.fleet import Fleet, FleetError
from emulator.services.sagemaker.site import Site, not_emulated

MAX_BAKING_S = 1.0  # no waiting or baking period of a deployment lasts for longer here
ALARM_INTERVAL_S = 0.2


@dataclass(frozen=True)
class RolloutPolicy:
    """How traffic moves to the new fleet.

    Attributes:
        shares: the share of the traffic on the new fleet, step by step; the last one is 1.
        wait_s: baking after every step but the last.
        termination_wait_s: baking after the last.
        alarms: an alarm in ALARM while baking rolls back.
    """

    shares: Sequence[float] = (1.0,)
    wait_s: float = 0.0
    termination_wait_s: float = 0.0
    alarms: Sequence[str] = field(default_factory=tuple)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> RolloutPolicy:
        """The policy in a DeploymentConfig; without one, all traffic at once.

        Raises:
            ServiceError: a rolling update.
        """
        if config.get("RollingUpdatePolicy"):
            raise not_emulated("RollingUpdatePolicy")
        blue_green = config.get("BlueGreenUpdatePolicy") or {}
        routing = blue_green.get("TrafficRoutingConfiguration") or {"Type": "ALL_AT_ONCE"}
        alarms = (config.get("AutoRollbackConfiguration") or {}).get("Alarms", [])
        return cls(
            shares=_shares(routing),
            wait_s=min(routing.get("WaitIntervalInSeconds", 0), MAX_BAKING_S),
            termination_wait_s=min(blue_green.get("TerminationWaitInSeconds", 0), MAX_BAKING_S),
            alarms=tuple(alarm["AlarmName"] for alarm in alarms),
        )


class RolloutFailedError(Exception):
    """The new fleet did not take over; the message is the endpoint's FailureReason."""


@dataclass
class Rollout:
    """One deployment of a fleet.

    Attributes:
        route: told the share of the traffic that the new fleet gets from now on.
    """

    site: Site
    fleet: Fleet
    policy: RolloutPolicy
    route: Callable[[float], None]

    def run(self) -> None:
        """Starts the fleet and moves the traffic to it.

        Raises:
            RolloutFailedError: the fleet did not come up, or an alarm went off.
        """
        try:
            self.fleet.start()
        except FleetError as error:
            raise RolloutFailedError(str(error)) from error
        *early, last = self.policy.shares
        for share in early:
            self.route(share)
            self._bake(self.policy.wait_s)
        self.route(last)
        self._bake(self.policy.termination_wait_s)

    def _bake(self, seconds: float) -> None:
        """Watches the alarms; they are looked at once even if there is nothing to wait for."""
        deadline = time.monotonic() + seconds
        while True:
            ringing = self._alarms_ringing()
            if ringing:
                names = ", ".join(ringing)
                raise RolloutFailedError(
                    f"One or more alarms configured for automatic rollback are in ALARM state: {names}. "
                    "The endpoint update was rolled back."
                )
            if time.monotonic() >= deadline:
                return
            time.sleep(ALARM_INTERVAL_S)

    def _alarms_ringing(self) -> list[str]:
        if not self.policy.alarms:
            return []
        found = alarms_named(self.site, self.policy.alarms)
        return [alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"]


def alarms_named(site: Site, names: Sequence[str]) -> list[Mapping[str, Any]]:
    """The alarms of these names that exist."""
    answer = site.client("cloudwatch").describe_alarms(
        AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    return [*answer["MetricAlarms"], *answer["CompositeAlarms"]]


def _shares(routing: Mapping[str, Any]) -> list[float]:
    """Step by step; a capacity in instances counts as its share of ten, as there is one process here."""
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
