"""EMR: clusters whose steps run. moto keeps the clusters, and leaves each WAITING for ever."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from moto.core.responses import BaseResponse
from moto.emr.models import Cluster, Step
from moto.emr.responses import ElasticMapReduceResponse

from local.cloud.emr.cluster import ClusterRun
from local.cloud.emr.validation import validate_job_flow, validate_steps
from local.cloud.moto_patches import MotoPatches
from local.cloud.plane import Operation, Plane, Request, Response, ServiceError

if TYPE_CHECKING:
    from local.cloud.server import Cloud

TARGET = "ElasticMapReduce"


class EmrPlane(Plane):
    """RunJobFlow that runs the flow."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._lock = threading.Lock()
        self._runs: dict[str, ClusterRun] = {}
        self._patches = MotoPatches()
        # moto's statuses carry no reason's code and no failure details.
        self._patches.replace(Cluster, "status", _make_cluster_status)
        self._patches.replace(Step, "status", _make_step_status)
        # moto reads EMR's region from the host name, which is this machine's.
        region_of = BaseResponse.get_region_from_url
        self._patches.replace(ElasticMapReduceResponse, "get_region_from_url", lambda _: region_of)

    def operations(self) -> dict[str, Operation]:
        """What starts or ends work."""
        return {
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
        validate_job_flow(self.cloud, flow, request.region)
        response = self.cloud.forward(request)
        if response.status != 200:
            return response
        cluster_id = json.loads(response.encoded()[0])["JobFlowId"]
        cluster = self.cloud.backend("emr", request.region).clusters[cluster_id]
        cluster.add_tags({tag["Key"]: tag["Value"] for tag in flow.get("Tags", [])})
        run = ClusterRun(self.cloud, cluster, flow, request.region)
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
        response = self.cloud.forward(request)
        if response.status == 200:
            run.add_steps(request.json["Steps"])
        return response

    def _terminate(self, request: Request) -> dict[str, Any]:
        clusters = self.cloud.backend("emr", request.region).clusters
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


def _make_step_status(original: property) -> property:
    def status(self: Any) -> dict[str, Any]:
        whole = original.__get__(self)
        if details := getattr(self, "failure_details", None):
            whole["FailureDetails"] = details
        return whole

    return property(status)
