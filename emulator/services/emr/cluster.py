"""Running cluster: its states, and the execution of its steps in order."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from moto.core.utils import utcnow

from emulator.authorization.service_needs import find_profile
from emulator.provider import EmitEvent
from emulator.region import Region
from emulator.services.emr.capacity import has_fleets, subnets_of
from emulator.services.emr.instance_fleets import InstanceFleet
from emulator.services.emr.step import SparkStep, StartProcess

TERMINATING_ACTIONS = ("TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW")
# EMR management guide, "Monitoring Amazon EMR events with CloudWatch". The default severity is INFO.
CLUSTER_SEVERITIES = {"TERMINATED_WITH_ERRORS": "CRITICAL"}
STEP_SEVERITIES = {"CANCELLED": "WARN", "FAILED": "ERROR"}
# Last part of the message of a cluster event, by state.
MESSAGES = {
    "STARTING": "was requested at {time} and is being created.",
    "RUNNING": "began running steps at {time}.",
    "WAITING": "finished running all pending steps at {time}.",
    "TERMINATED": "has terminated at {time} with a reason of {code}.",
    "TERMINATED_WITH_ERRORS": "has terminated with errors at {time} with a reason of {code}.",
}
log = logging.getLogger("emulator.services.emr.provider")


class RunningCluster:
    """Runs the steps of a cluster one after the other, and sets the state of moto's cluster."""

    def __init__(
        self,
        region: Region,
        emit: EmitEvent,
        cluster: Any,
        flow: Mapping[str, Any],
        start_process: StartProcess,
    ) -> None:
        self._region = region
        self._emit_event = emit
        self._cluster = cluster
        self.flow = flow
        self._start_process = start_process
        self._changed = threading.Condition()
        self._terminated = False
        self._step: SparkStep | None = None
        self._state = ""  # as last published; moto changes the cluster's state when a step is added
        self._waiting: deque[tuple[Any, Mapping[str, Any]]] = deque()
        self._keep_alive = bool(flow.get("Instances", {}).get("KeepJobFlowAliveWhenNoSteps"))
        self._role_arn = find_profile(flow["JobFlowRole"], region.place()).roles[0].arn
        self.fleets = [
            InstanceFleet(config) for config in flow.get("Instances", {}).get("InstanceFleets", [])
        ]
        cluster.instance_collection_type = "INSTANCE_FLEET" if has_fleets(flow) else "INSTANCE_GROUP"
        # EMR chooses the subnet with the most capacity; the emulator chooses the first.
        cluster.requested_ec2_subnet_ids = subnets_of(flow)
        cluster.ec2_subnet_id = next(iter(cluster.requested_ec2_subnet_ids), None)
        self._set_state("STARTING", "", "")
        cluster.ready_datetime = None
        self.add_steps(flow.get("Steps", []))

    @property
    def accepts_steps(self) -> bool:
        """Whether steps can be added."""
        return not self._cluster.state.startswith("TERMINAT")

    def start(self) -> None:
        """Start in the background."""
        threading.Thread(target=self._run, name=self._cluster.id, daemon=True).start()

    def add_steps(self, specs: Sequence[Mapping[str, Any]]) -> None:
        """Queue the steps that moto has added last."""
        with self._changed:
            models = self._cluster.steps[-len(specs) :] if specs else []
            for model, spec in zip(models, specs, strict=True):
                model.state, model.start_date_time = "PENDING", None
                self._waiting.append((model, spec))
            self._changed.notify()

    def terminate(self) -> None:
        """End the running step and the cluster."""
        with self._changed:
            self._terminated = True
            if self._step is not None:
                self._step.stop()
            self._changed.notify()

    def _run(self) -> None:
        try:
            self._set_state("BOOTSTRAPPING", "", "")
            self._cluster.ready_datetime = utcnow()
            self._set_state("RUNNING", "", "Running step")
            state, code, message = self._run_steps()
        except Exception as error:
            if self._region.host.closing:
                return
            log.exception("%s", self._cluster.id)
            state, code, message = "TERMINATED_WITH_ERRORS", "INTERNAL_ERROR", str(error)
        self._set_state("TERMINATING", code, message)
        self._terminate_instances()
        self._cluster.end_datetime = utcnow()
        self._set_state(state, code, message)

    def _run_steps(self) -> tuple[str, str, str]:
        """Run the steps until the cluster ends; returns its final state, reason code and message."""
        while True:
            with self._changed:
                while not (self._waiting or self._terminated) and self._keep_alive:
                    self._set_state("WAITING", "", "Cluster ready after last step completed.")
                    self._changed.wait()
                if self._terminated:
                    self._cancel_waiting()
                    return "TERMINATED", "USER_REQUEST", "Terminated by user request"
                if not self._waiting:
                    return "TERMINATED", "ALL_STEPS_COMPLETED", "Steps completed"
                model, spec = self._waiting.popleft()
                self._step = SparkStep(self._region, self.flow, spec, self._role_arn, self._start_process)
            self._set_state("RUNNING", "", "Running step")
            failed = not self._run_step(model, self._step)
            if failed and model.action_on_failure != "CONTINUE" and not self._terminated:
                self._cancel_waiting()
                if model.action_on_failure in TERMINATING_ACTIONS:
                    return "TERMINATED_WITH_ERRORS", "STEP_FAILURE", "Shut down as step failed"

    def _run_step(self, model: Any, step: SparkStep) -> bool:
        model.state, model.start_date_time = "RUNNING", utcnow()
        self._publish_step(model)
        failure = step.run(self._cluster.id, model.id)
        model.end_date_time = utcnow()
        if self._terminated:
            model.state = "CANCELLED"
        elif failure is None:
            model.state = "COMPLETED"
        else:
            model.failure_details = failure.details()
            model.state = "FAILED"
        self._publish_step(model)
        return failure is None

    def _cancel_waiting(self) -> None:
        while self._waiting:
            model, _ = self._waiting.popleft()
            model.state = "CANCELLED"
            self._publish_step(model)

    def _set_state(self, state: str, code: str, message: str) -> None:
        if self._state == state:
            return
        self._state = state
        reason = {name: value for name, value in (("Code", code), ("Message", message)) if value}
        self._cluster.state_change_reason = reason
        self._cluster.state = state
        for fleet in self.fleets:
            fleet.set_cluster_state(state)
        message_end = MESSAGES.get(state, f"is {state}.").format(
            time=f"{utcnow():%Y-%m-%d %H:%M} UTC", code=code
        )
        detail = {
            "severity": CLUSTER_SEVERITIES.get(state, "INFO"),
            "stateChangeReason": json.dumps({"code": code, "message": message}),
            "name": self._cluster.name,
            "clusterId": self._cluster.id,
            "state": state,
            "message": f"Amazon EMR Cluster {self._cluster.id} ({self._cluster.name}) {message_end}",
        }
        self._emit_event("aws.emr", "EMR Cluster State Change", detail, [], self._region.name)

    def _publish_step(self, model: Any) -> None:
        detail = {
            "severity": STEP_SEVERITIES.get(model.state, "INFO"),
            "actionOnFailure": model.action_on_failure,
            "stepId": model.id,
            "name": model.name,
            "clusterId": self._cluster.id,
            "state": model.state,
            "message": f"Step {model.id} ({model.name}) in Amazon EMR cluster {self._cluster.id} "
            f"({self._cluster.name}) is {model.state}.",
        }
        self._emit_event("aws.emr", "EMR Step Status Change", detail, [], self._region.name)

    def _terminate_instances(self) -> None:
        ids = [instance.ec2_instance.id for instance in self._cluster.ec2_instances]
        if ids:
            with contextlib.suppress(Exception):  # a client may have terminated them
                self._region.backend("ec2").terminate_instances(ids)
        for group in self._cluster.instance_groups:
            group.state, group.end_date_time = "TERMINATED", utcnow()
