"""RunJobFlow document of a stage: accepted by EMR, by the job and by the schedule."""

import copy
import functools
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml.contract import PREPARED_PREFIX, RUN_ID_PLACEHOLDER, parse_run_id
from ml.preparation.arguments import parse_arguments
from tests.repository import ROOT, STAGES
from tests.stacks.program import recorded, request_errors, section

pytestmark = pytest.mark.parametrize("stage", STAGES)

SCHEDULE = "aws:scheduler/schedule:Schedule"
SCHEDULED_TIME = "2026-11-23T02:00:00Z"  # format of EventBridge Scheduler


def run_job_flow(stage: str) -> dict[str, Any]:
    published = recorded(stage).one("aws:s3/bucketObjectv2:BucketObjectv2", "preparation-run-job-flow")
    return json.loads(published.inputs["content"])


def test_document_is_a_valid_run_job_flow_request(stage: str) -> None:
    assert request_errors("emr", "RunJobFlow", run_job_flow(stage)) == ""


def key_paths(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Path of every key of a document at any depth, except keys of ``Properties``, which are free."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        if isinstance(key, str):
            yield (*path, key)
        if key != "Properties":
            yield from key_paths(value, (*path, key))


def test_misspelt_field_of_the_document_is_invalid_at_any_depth(stage: str) -> None:
    document = run_job_flow(stage)
    # One path for each field: the items of a list have the same shape.
    fields = {tuple(key for key in path if isinstance(key, str)): path for path in key_paths(document)}
    paths = fields.values()
    assert len(paths) > 40
    for *parents, last in paths:
        misspelt = copy.deepcopy(document)
        node = functools.reduce(lambda found, key: found[key], parents, misspelt)
        node[f"{last}s_"] = node.pop(last)
        assert f"{last}s_" in request_errors("emr", "RunJobFlow", misspelt), (*parents, last)


def test_job_parses_the_arguments_of_its_step(stage: str) -> None:
    arguments = run_job_flow(stage)["Steps"][0]["HadoopJarStep"]["Args"]
    own = arguments[arguments.index("--input") :]
    settings = parse_arguments([SCHEDULED_TIME if each == RUN_ID_PLACEHOLDER else each for each in own])
    assert settings.run.input == "s3://data-1a2b3c/raw/interactions/"
    assert settings.run.output == "s3://data-1a2b3c/prepared/"
    assert settings.run.scratch == "s3://data-1a2b3c/scratch/"
    assert settings.run.run_id == "20261123T020000Z"
    job = section(stage, "spark")["job"]
    assert settings.split.min_interactions == job["min_interactions"]
    assert settings.quality.max_quarantined_share == job["max_quarantined_share"]


def test_cluster_has_the_configured_nodes(stage: str) -> None:
    configured, flow = section(stage, "spark")["cluster"], run_job_flow(stage)
    roles = {"MASTER": "primary", "CORE": "core", "TASK": "task"}
    launched = {
        roles[fleet["InstanceFleetType"]]: [each["InstanceType"] for each in fleet["InstanceTypeConfigs"]]
        for fleet in flow["Instances"]["InstanceFleets"]
    }
    assert launched == {name: configured[name]["instance_types"] for name in roles.values()}
    by_role = {roles[fleet["InstanceFleetType"]]: fleet for fleet in flow["Instances"]["InstanceFleets"]}
    assert by_role["core"]["TargetOnDemandCapacity"] == configured["core"]["units"]
    assert by_role["task"]["TargetSpotCapacity"] == configured["task"]["units"]
    spot = by_role["task"]["LaunchSpecifications"]["SpotSpecification"]
    assert spot["TimeoutDurationMinutes"] == configured["spot"]["timeout_minutes"]
    actions = {"on_demand": "SWITCH_TO_ON_DEMAND", "fail": "TERMINATE_CLUSTER"}
    assert spot["TimeoutAction"] == actions[configured["spot"]["otherwise"]]
    disks = {
        disk["VolumeSpecification"]["SizeInGB"]
        for fleet in by_role.values()
        for each in fleet["InstanceTypeConfigs"]
        for disk in each["EbsConfiguration"]["EbsBlockDeviceConfigs"]
    }
    assert disks == {configured["volume_gib"]}
    limits = flow["ManagedScalingPolicy"]["ComputeLimits"]
    assert limits == {
        "UnitType": "InstanceFleetUnits",
        "MinimumCapacityUnits": configured["scaling"]["min_units"],
        "MaximumCapacityUnits": configured["scaling"]["max_units"],
        "MaximumCoreCapacityUnits": configured["scaling"]["max_core_units"],
        "MaximumOnDemandCapacityUnits": configured["scaling"]["max_on_demand_units"],
    }
    assert flow["AutoTerminationPolicy"] == {"IdleTimeout": configured["idle_timeout_s"]}
    assert flow["ReleaseLabel"] == section(stage, "spark")["release"]
    subnets = [each.name for each in recorded(stage).of("aws:ec2/subnet:Subnet")]
    assert len(flow["Instances"]["Ec2SubnetIds"]) == len(subnets)


def test_schedule_launches_the_document_with_its_scheduled_time_as_run_id(stage: str) -> None:
    schedules = [each for each in recorded(stage).of(SCHEDULE) if each.name == "preparation-schedule"]
    assert len(schedules) == (section(stage, "spark")["scheduler"] == "eventbridge")
    for schedule in schedules:
        text = schedule.inputs["target"]["input"]
        assert RUN_ID_PLACEHOLDER not in text
        assert text.count("<aws.scheduler.scheduled-time>") == 1
        given = json.loads(text.replace("<aws.scheduler.scheduled-time>", SCHEDULED_TIME))
        published = json.dumps(run_job_flow(stage)).replace(RUN_ID_PLACEHOLDER, SCHEDULED_TIME)
        assert given == json.loads(published)
        assert parse_run_id(SCHEDULED_TIME) == "20261123T020000Z"


def test_cluster_logs_go_to_the_logs_bucket(stage: str) -> None:
    assert run_job_flow(stage)["LogUri"] == "s3://logs-1a2b3c/emr/"


def test_nodes_read_raw_data_and_write_prepared_runs_and_scratch_only(stage: str) -> None:
    policy = recorded(stage).one("aws:iam/rolePolicy:RolePolicy", "preparation-nodes-policy")
    granted = {
        (action, arn.removeprefix("arn:aws:s3:::"))
        for statement in json.loads(policy.inputs["policy"])["Statement"]
        for action in statement["Action"]
        for arn in statement["Resource"]
    }
    changes = {(action, where) for action, where in granted if re.search(r":(Put|Delete)Object", action)}
    assert changes == {
        ("s3:PutObject", "data-1a2b3c/prepared*"),
        ("s3:DeleteObject", "data-1a2b3c/prepared*"),
        ("s3:PutObject", "data-1a2b3c/scratch*"),
        ("s3:DeleteObject", "data-1a2b3c/scratch*"),
        ("s3:PutObject", "logs-1a2b3c/emr/*"),
    }
    assert {where for action, where in granted if action == "s3:GetObject"} == {
        "data-1a2b3c/raw/interactions*",
        "data-1a2b3c/prepared*",
        "data-1a2b3c/scratch*",
        "artifacts-1a2b3c/spark/*",
    }


def test_published_package_has_every_file_of_the_job(stage: str) -> None:
    published = recorded(stage).one("aws:s3/bucketObjectv2:BucketObjectv2", "preparation-package")
    packed = Path(published.inputs["source"].path)
    assert packed.name == "ml.zip"
    with zipfile.ZipFile(packed) as archive:
        names = set(archive.namelist())
    own = {str(path.relative_to(ROOT)) for path in (ROOT / "ml" / "preparation").glob("*.*")}
    assert own | {"ml/__init__.py", "ml/contract.py", "ml/manifest.py"} <= names


def test_scratch_of_spark_is_deleted_with_its_versions_within_days(stage: str) -> None:
    arguments = run_job_flow(stage)["Steps"][0]["HadoopJarStep"]["Args"]
    bucket, _, prefix = arguments[arguments.index("--scratch") + 1].removeprefix("s3://").partition("/")
    assert not prefix.startswith(PREPARED_PREFIX)  # whose versions are kept as long as the stage says
    lifecycles = recorded(stage).of("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
    (rules,) = (each.inputs["rules"] for each in lifecycles if each.inputs["bucket"] == bucket)
    (purge,) = (rule for rule in rules if rule["filter"]["prefix"] == prefix)
    assert purge["expiration"]["days"] <= 7
    assert purge["noncurrentVersionExpiration"]["noncurrentDays"] <= 7
    assert purge["abortIncompleteMultipartUpload"]["daysAfterInitiation"] <= 7
