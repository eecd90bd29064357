"""Work in progress that writes to the buckets: EMR clusters, builds and pipeline executions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ci.teardown.calls import listed
from ci.teardown.leftover import Leftover, Waiter
from ci.teardown.stage import DeployedStage

ACTIVE_CLUSTERS = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING"]
TERMINATED = ("TERMINATED", "TERMINATED_WITH_ERRORS")
ACTIVE_EXECUTIONS = ("Executing", "Stopping")
MAX_BUILDS = 100  # CodeBuild API, BatchGetBuilds


def clusters(emr: Any, stage: DeployedStage, waiter: Waiter) -> Iterator[Leftover]:
    """Clusters of the stage's preparation."""
    for cluster in listed(emr, "list_clusters", "Clusters", ClusterStates=ACTIVE_CLUSTERS):
        if cluster["Name"] == stage.outputs["preparation_job"]:
            yield Leftover("running cluster", cluster["Id"], _terminate(emr, cluster["Id"], waiter))


def _terminate(emr: Any, cluster_id: str, waiter: Waiter) -> Any:
    def has_ended() -> bool:
        return emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"] in TERMINATED

    def terminate() -> None:
        emr.terminate_job_flows(JobFlowIds=[cluster_id])
        waiter.until(has_ended, f"end of cluster {cluster_id}")

    return terminate


def builds(codebuild: Any, stage: DeployedStage, waiter: Waiter) -> Iterator[Leftover]:
    """Builds of the stage's project."""
    project = stage.outputs["codebuild_project"]
    ids = listed(codebuild, "list_builds_for_project", "ids", projectName=project)
    for first in range(0, len(ids), MAX_BUILDS):
        for build in codebuild.batch_get_builds(ids=ids[first : first + MAX_BUILDS])["builds"]:
            if build["buildStatus"] == "IN_PROGRESS":
                yield Leftover("running build", build["id"], _stop_build(codebuild, build["id"], waiter))


def _stop_build(codebuild: Any, build_id: str, waiter: Waiter) -> Any:
    def has_ended() -> bool:
        return codebuild.batch_get_builds(ids=[build_id])["builds"][0]["buildStatus"] != "IN_PROGRESS"

    def stop() -> None:
        if not has_ended():
            codebuild.stop_build(id=build_id)
        waiter.until(has_ended, f"end of build {build_id}")

    return stop


def executions(sagemaker: Any, found: list[dict[str, Any]], waiter: Waiter) -> Iterator[Leftover]:
    """Executions in progress among those of the stage's pipeline."""
    for execution in found:
        if execution["PipelineExecutionStatus"] in ACTIVE_EXECUTIONS:
            arn = execution["PipelineExecutionArn"]
            yield Leftover("running pipeline execution", arn, _stop_execution(sagemaker, arn, waiter))


def _stop_execution(sagemaker: Any, arn: str, waiter: Waiter) -> Any:
    def status() -> str:
        return sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]

    def stop() -> None:
        if status() == "Executing":
            sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
        waiter.until(lambda: status() not in ACTIVE_EXECUTIONS, f"end of {arn}")

    return stop
