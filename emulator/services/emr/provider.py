"""EMR provider: runs the steps of clusters. moto stores the clusters and does not run them."""

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
from emulator.services.emr.cluster import RunningCluster
from emulator.services.emr.step import StartProcess
from emulator.services.emr.validation import validate_job_flow, validate_steps
from emulator.wire import Operation, Request, Response, ServiceError

TARGET = "ElasticMapReduce"


class EmrProvider(Provider):
    """Runs the steps of clusters, and returns the settings that moto does not store.

    Args:
        start_process: starts the child process of a step, with the arguments of `Processes.start`.
    """

    def __init__(
        self, host: Host, forward: Forward, emit: EmitEvent, *, start_process: StartProcess | None = None
    ) -> None:
        self._host = host
        self._forward = forward
        self._emit = emit
        self._start_process = start_process or host.processes.start
        self._lock = threading.Lock()
        self._clusters: dict[str, RunningCluster] = {}
        self._patches = MotoPatches()
        # moto's statuses have no reason code and no failure details.
        self._patches.replace(Cluster, "status", _make_cluster_status)
        self._patches.replace(Step, "status", _make_step_status)
        # moto stores one subnet and not the list of requested ones.
        self._patches.replace(Ec2InstanceAttributes, "__init__", _make_instance_attributes)
        # moto takes EMR's region from the host name, which is this machine's.
        region_of = BaseResponse.get_region_from_url
        self._patches.replace(ElasticMapReduceResponse, "get_region_from_url", lambda _: region_of)

    def operations(self) -> dict[str, Operation]:
        """Operations that start or end steps, or that moto does not implement."""
        return {
            f"{TARGET}.GetAutoTerminationPolicy": self._policy("AutoTerminationPolicy"),
            f"{TARGET}.GetManagedScalingPolicy": self._policy("ManagedScalingPolicy"),
            f"{TARGET}.ListInstanceFleets": self._list_fleets,
            f"{TARGET}.RunJobFlow": self._run_job_flow,
            f"{TARGET}.AddJobFlowSteps": self._add_steps,
            f"{TARGET}.TerminateJobFlows": self._terminate,
        }

    def close(self) -> None:
        """Terminate the clusters and undo the patches."""
        for cluster in list(self._clusters.values()):
            cluster.terminate()
        self._patches.undo()

    def _run_job_flow(self, request: Request) -> Response:
        flow = request.json
        region = Region(self._host, request.region)
        validate_job_flow(region, flow)
        response = self._forward(request)
        if response.status != 200:
            return response
        cluster_id = json.loads(response.encoded()[0])["JobFlowId"]
        record = region.backend("emr").clusters[cluster_id]
        record.add_tags({tag["Key"]: tag["Value"] for tag in flow.get("Tags", [])})
        cluster = RunningCluster(region, self._emit, record, flow, self._start_process)
        with self._lock:
            self._clusters[cluster_id] = cluster
        cluster.start()
        return response

    def _add_steps(self, request: Request) -> Response:
        validate_steps(request.json["Steps"])
        cluster = self._clusters.get(request.json["JobFlowId"])
        if cluster is None or not cluster.accepts_steps:
            raise ServiceError(
                "ValidationException",
                "A job flow that is shutting down, or does not exist, does not accept steps",
            )
        response = self._forward(request)
        if response.status == 200:
            cluster.add_steps(request.json["Steps"])
        return response

    def _find_cluster(self, request: Request) -> RunningCluster:
        """Cluster of a request."""
        cluster_id = request.json.get("ClusterId", "")
        if cluster_id not in self._clusters:
            raise ServiceError("InvalidRequestException", f"Cluster id '{cluster_id}' is not valid.")
        return self._clusters[cluster_id]

    def _list_fleets(self, request: Request) -> dict[str, Any]:
        cluster = self._find_cluster(request)
        if not cluster.fleets:
            raise ServiceError(
                "InvalidRequestException", "Instance fleets and instance groups are mutually exclusive."
            )
        return {"InstanceFleets": [fleet.describe() for fleet in cluster.fleets]}

    def _policy(self, name: str) -> Operation:
        """Handler that returns a policy of the request; the emulator does not act on it."""

        def get(request: Request) -> dict[str, Any]:
            flow = self._find_cluster(request).flow
            return {name: flow[name]} if name in flow else {}

        return get

    def _terminate(self, request: Request) -> dict[str, Any]:
        records = moto_state.backend("emr", request.region).clusters
        for cluster_id in request.json["JobFlowIds"]:
            if cluster_id in records and records[cluster_id].termination_protected:
                raise ServiceError(
                    "ValidationException",
                    "Could not shut down one or more job flows since they are termination protected.",
                )
        for cluster_id in request.json["JobFlowIds"]:
            if cluster := self._clusters.get(cluster_id):
                cluster.terminate()
        return {}


def _make_cluster_status(original: property) -> property:
    def status(self: Any) -> dict[str, Any]:
        fields = original.__get__(self)
        fields["StateChangeReason"] = getattr(self, "state_change_reason", {})
        return fields

    return property(status)


def _make_instance_attributes(original: Callable[..., None]) -> Callable[..., None]:
    def init(self: Any, cluster: Any) -> None:
        original(self, cluster)
        self.requested_ec2_subnet_ids = getattr(cluster, "requested_ec2_subnet_ids", [])

    return init


def _make_step_status(original: property) -> property:
    def status(self: Any) -> dict[str, Any]:
        fields = original.__get__(self)
        if details := getattr(self, "failure_details", None):
            fields["FailureDetails"] = details
        return fields

    return property(status)
