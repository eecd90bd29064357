"""Spark job: the published RunJobFlow document, its fleets and its step."""

import json
from pathlib import Path
from typing import Any

from components.spark.cluster import Cluster, Fleet
from tests.components.spark.conftest import EMR_TAG, build, classified
from tests.pulumi_engine import Recording

OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"


def test_document_is_published_unchanged(done: Recording) -> None:
    published = done.one(OBJECT, "job-run-job-flow").inputs
    assert published["content"] == done.values["document"]
    assert done.values["uri"] == "s3://artifacts/spark/run_job_flow.json"


def fleets(flow: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {fleet["InstanceFleetType"]: fleet for fleet in flow["Instances"]["InstanceFleets"]}


def test_primary_and_core_nodes_are_on_demand_and_task_nodes_are_spot(flow: dict[str, Any]) -> None:
    capacities = {
        role: {key: value for key, value in fleet.items() if key.startswith("Target")}
        for role, fleet in fleets(flow).items()
    }
    assert capacities == {
        "MASTER": {"TargetOnDemandCapacity": 1},
        "CORE": {"TargetOnDemandCapacity": 8},
        "TASK": {"TargetSpotCapacity": 8},
    }
    assert fleets(flow)["TASK"]["LaunchSpecifications"]["SpotSpecification"] == {
        "AllocationStrategy": "capacity-optimized",
        "TimeoutDurationMinutes": 10,
        "TimeoutAction": "SWITCH_TO_ON_DEMAND",
    }


def test_cluster_without_task_nodes_has_no_task_fleet(tmp_path: Path) -> None:
    document = json.loads(build(tmp_path, cluster=Cluster(task=Fleet())).values["document"])
    assert set(fleets(document)) == {"MASTER", "CORE"}


def test_emr_chooses_between_all_subnets(flow: dict[str, Any]) -> None:
    assert flow["Instances"]["Ec2SubnetIds"] == ["subnet-1", "subnet-2"]


def test_driver_runs_on_core_nodes(flow: dict[str, Any]) -> None:
    yarn = classified(flow)["yarn-site"]
    assert yarn["yarn.node-labels.enabled"] == "true"
    assert yarn["yarn.node-labels.am.default-node-label-expression"] == "CORE"


def test_idle_cluster_terminates(flow: dict[str, Any]) -> None:
    assert flow["AutoTerminationPolicy"] == {"IdleTimeout": 900}


def test_cluster_terminates_with_its_step_or_its_failure(flow: dict[str, Any]) -> None:
    (step,) = flow["Steps"]
    assert step["ActionOnFailure"] == "TERMINATE_CLUSTER"
    assert flow["Instances"]["KeepJobFlowAliveWhenNoSteps"] is False


def test_step_submits_the_published_code_with_its_arguments(flow: dict[str, Any]) -> None:
    assert flow["Steps"][0]["HadoopJarStep"]["Args"] == [
        "spark-submit",
        "--deploy-mode",
        "cluster",
        "--py-files",
        "s3://artifacts/spark/ml.zip",
        "--archives",
        "s3://artifacts/spark/packages.zip#environment",
        "--conf",
        "spark.yarn.appMasterEnv.PYTHONPATH=./environment",
        "--conf",
        "spark.executorEnv.PYTHONPATH=./environment",
        "s3://artifacts/spark/prepare.py",
        "--run-id",
        "__RUN_ID__",
        "--input",
        "s3://data/raw/",
    ]


def test_cluster_has_the_tags_of_its_permissions(flow: dict[str, Any]) -> None:
    assert flow["Tags"] == [{"Key": "Owner", "Value": "recommendation"}, EMR_TAG]
