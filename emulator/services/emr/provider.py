"""EMR: clusters whose steps run. moto keeps the clusters, and leaves each WAITING for ever."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from moto.core.responses import BaseResponse
from moto.emr.models import Cluster, Ec2InstanceAttributes, Step
from moto.emr.responses import ElasticMapReduceResponse

from emulator import moto_state
from emulator.host import Host
from emulator.moto_patches import MotoPatches
from emulator.provider import EmitEvent, Forward, Provider
from emulator.region import Region
from emulator.services.emr.cluster import ClusterRun
from emulator.services.emr.validation import validate_job_flow, validate_steps
from emulator.wire import Operation, Request, Response, ServiceError

TARGET = "ElasticMapReduce"


class EmrProvider(Provider):
    """RunJobFlow that runs the flow."""

    def __init__(self, host: Host, forward: Forward, emit: EmitEvent) -> None:
        self._host = host
        self._forward = forward
        self._emit = emit
        self._lock = threading.Lock()
        self._runs: dict[str, ClusterRun] = {}
        self._patches = MotoPatches()
        # moto's statuses carry no reason's code and no failure details.
        self._patches.replace(Cluster, "status", _make_cluster_status)
        self._patches.replace(Step, "status", _make_step_status)
        # moto knows one subnet, and so no choice between several.
        self._patches.replace(Ec2InstanceAttributes, "__init__", _make_instance_attributes)
        # moto reads EMR's region from the host name, which is this machine's.
        region_of = BaseResponse.get_region_from_url
        self._patches.replace(ElasticMapReduceResponse, "get_region_from_url", lambda _: region_of)

    def operations(self) -> dict[str, Operation]:
        """What starts or ends work, and what moto does not keep."""
        return {
            f"{TARGET}.GetAutoTerminationPolicy": self._policy("AutoTerminationPolicy"),
            f"{TARGET}.GetManagedScalingPolicy": self._policy("ManagedScalingPolicy"),
            f"{TARGET}.ListInstanceFleets": self._list_fleets,
            f"{TARGET}.RunJobFlow": self._run_job_flow,
            f"{TARGET}.AddJobFlowSteps": self._add_steps,
            f"{TARGET}.TerminateJobFlows": self._terminate,
        }

    def close(self) -> None:
        """Ends the clusters."""
        for run in list(self._runs.values()):
            run.terminate()
        self._patches.undo()

    def _run_job_flow(self, request: Request) -> Response:
        flow = request.json
        region = Region(self._host, request.region)
        validate_job_flow(region, flow)
        response = self._forward(request)
        if response.status != 200:
            return response
        cluster_id = json.loads(response.encoded()[0])["JobFlowId"]
        cluster = region.backend("emr").clusters[cluster_id]
        cluster.add_tags({tag["Key"]: tag["Value"] for tag in flow.get("Tags", [])})
        run = ClusterRun(region, self._emit, cluster, flow)
        with self._lock:
            self._runs[cluster_id] = run
        run.start()
        return response

    def _add_steps(self, request: Request) -> Response:
        validate_steps(request.json["Steps"])
        run = self._runs.get(request.json["JobFlowId"])
        if run is None or not run.alive:
            raise ServiceError(
                "ValidationException", "A job flow that is shutting down, or does not exist, takes no steps"
            )
        response = self._forward(request)
        if response.status == 200:
            run.add_steps(request.json["Steps"])
        return response

    def _run_of(self, request: Request) -> ClusterRun:
        """The cluster that a request is about, as this provider runs it."""
        cluster_id = request.json.get("ClusterId", "")
        if cluster_id not in self._runs:
            raise ServiceError("InvalidRequestException", f"Cluster id '{cluster_id}' is not valid.")
        return self._runs[cluster_id]

    def _list_fleets(self, request: Request) -> dict[str, Any]:
        run = self._run_of(request)
        if not run.fleets:
            raise ServiceError(
                "InvalidRequestException", "Instance fleets and instance groups are mutually exclusive."
            )
        return {"InstanceFleets": [fleet.describe() for fleet in run.fleets]}

    def _policy(self, name: str) -> Operation:
        """What was asked for, as it was: nothing here scales, and no cluster is ended for being idle."""

        def get(request: Request) -> dict[str, Any]:
            flow = self._run_of(request).flow
            return {name: flow[name]} if name in flow else {}

        return get

    def _terminate(self, request: Request) -> dict[str, Any]:
        clusters = moto_state.backend("emr", request.region).clusters
        for cluster_id in request.json["JobFlowIds"]:
            if cluster_id in clusters and clusters[cluster_id].termination_protected:
                raise ServiceError(
                    "ValidationException",
                    "Could not shut down one or more job flows since they are termination protected.",
                )
        for cluster_id in request.json["JobFlowIds"]:
            if run := self._runs.get(cluster_id):
                run.terminate()
        return {}


def _make_cluster_status(original: property) -> property:
    def status(self: Any) -> dict[str, Any]:
        whole = original.__get__(self)
        whole["StateChangeReason"] = getattr(self, "state_change_reason", {})
        return whole

    return property(status)


def _make_instance_attributes(original: Callable[..., None]) -> Callable[..., None]:
    def init(self: Any, cluster: Any) -> None:
        original(self, cluster)
        self.requested_ec2_subnet_ids = getattr(cluster, "requested_ec2_subnet_ids", [])

    return init


def _make_step_status(original: property) -> property:
    def status(self: Any) -> dict[str, Any]:
        whole = original.__get__(self)
        if details := getattr(self, "failure_details", None):
            whole["FailureDetails"] = details
        return whole

    return property(status)
