"""Blue/green deployment of an endpoint: shifts traffic to the new fleet, or back to the old one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emulator.region import Region
from emulator.services.sagemaker.endpoints.fleet import EndpointFleet
from emulator.services.sagemaker.endpoints.variant import FleetStartError
from emulator.services.sagemaker.errors import invalid, not_emulated
from emulator.services.sagemaker.times import now

MAX_BAKING_S = 1.0  # SageMaker has no such limit: it waits for the whole period
ALARM_INTERVAL_S = 0.2
# API reference, TrafficRoutingConfig: at most half of the variant's instances, and linear steps of 10 percent
# or more.
MAX_STEP_PERCENT, MIN_LINEAR_PERCENT = 50, 10
SIZES = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}


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
    def from_config(
        cls, config: Mapping[str, Any], n_instances: int, max_baking_s: float = MAX_BAKING_S
    ) -> RolloutPolicy:
        """Policy of a DeploymentConfig; the default moves all traffic at once.

        Args:
            config: the DeploymentConfig.
            n_instances: instances of the new fleet's smallest variant.
            max_baking_s: longer waiting and baking periods are cut to this.

        Raises:
            ServiceError: rolling update, or a policy that does not fit the instances or its own timeout.
        """
        if config.get("RollingUpdatePolicy"):
            raise not_emulated("RollingUpdatePolicy")
        blue_green = config.get("BlueGreenUpdatePolicy") or {}
        routing = blue_green.get("TrafficRoutingConfiguration") or {"Type": "ALL_AT_ONCE"}
        alarms = (config.get("AutoRollbackConfiguration") or {}).get("Alarms", [])
        shares = _shares(routing, n_instances)
        _check_timeout(blue_green, routing, len(shares))
        return cls(
            shares=shares,
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


def variants_in_step(summaries: Sequence[Mapping[str, Any]], share: float) -> list[dict[str, Any]]:
    """PendingDeploymentSummary: the variants of the new fleet, with the instances that get traffic.

    Args:
        summaries: the variants as they will be.
        share: share of the traffic; 0: the instances are being created.
    """
    status = {"Status": "Baking" if share else "Creating", "StartTime": now()}
    return [
        {
            **summary,
            "CurrentInstanceCount": math.ceil(share * int(summary["DesiredInstanceCount"])),
            "VariantStatus": [status],
        }
        for summary in summaries
    ]


def find_alarms(region: Region, names: Sequence[str]) -> list[Mapping[str, Any]]:
    """Existing alarms with these names."""
    answer = region.client("cloudwatch").describe_alarms(
        AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    return [*answer["MetricAlarms"], *answer["CompositeAlarms"]]


def _shares(routing: Mapping[str, Any], n_instances: int) -> list[float]:
    """Share of the traffic after each step.

    Raises:
        ServiceError: the first step has no size, or not a size that SageMaker takes.
    """
    kind = routing["Type"]
    if kind not in SIZES:
        return [1.0]
    field_name = f"TrafficRoutingConfiguration.{SIZES[kind]}"
    size = routing.get(SIZES[kind])
    if not size:
        raise invalid(f"{field_name}: required with Type {kind}")
    is_percent = size["Type"] == "CAPACITY_PERCENT"
    percent = size["Value"] if is_percent else 100 * size["Value"] / n_instances
    smallest = math.ceil(n_instances * percent / 100)
    if percent > MAX_STEP_PERCENT or 100 * smallest > MAX_STEP_PERCENT * n_instances:
        raise invalid(
            f"{field_name}: {size['Value']} ({size['Type']}) is {smallest} of {n_instances} instances; "
            f"at most {MAX_STEP_PERCENT} percent of the instances are allowed"
        )
    if kind == "CANARY":
        return [percent / 100, 1.0]
    if percent < MIN_LINEAR_PERCENT:
        raise invalid(f"{field_name}: {size['Value']} is less than {MIN_LINEAR_PERCENT} percent")
    n_steps = math.ceil(100 / percent)
    return [percent / 100 * (number + 1) for number in range(n_steps - 1)] + [1.0]


def _check_timeout(blue_green: Mapping[str, Any], routing: Mapping[str, Any], n_steps: int) -> None:
    """API reference, BlueGreenUpdatePolicy: the timeout is larger than the total waiting time.

    Raises:
        ServiceError: it is not.
    """
    timeout_s = blue_green.get("MaximumExecutionTimeoutInSeconds")
    waits_s = (n_steps - 1) * routing.get("WaitIntervalInSeconds", 0)
    waits_s += blue_green.get("TerminationWaitInSeconds", 0)
    if timeout_s is not None and timeout_s <= waits_s:
        raise invalid(
            f"BlueGreenUpdatePolicy.MaximumExecutionTimeoutInSeconds: {timeout_s} is not larger than the "
            f"total waiting time of {waits_s} seconds"
        )
