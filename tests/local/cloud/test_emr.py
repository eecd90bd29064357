"""Clusters: what EMR refuses, what a step sees, what it leaves, and how the cluster ends."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud
from local.cloud.emr.mirror import Mirror
from tests.local.cloud.support import (
    is_empty,
    make_bucket,
    make_queue,
    make_role,
    make_rule,
    receive,
    rule_arn,
    wait_for,
    zipped,
)

JOB = """
import sys
import helper
source, target = sys.argv[1:3]
if target == "nowhere":
    print("ValueError: row 7 has no user", file=sys.stderr)
    sys.exit(2)
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
Path = spark._jvm.org.apache.hadoop.fs.Path
root = Path(target)
files = root.getFileSystem(spark._jsc.hadoopConfiguration())
rows = spark.read.csv(source, header=True)
rows.coalesce(1).write.parquet(target + "train")
paths = [status.getPath() for status in files.listStatus(Path(target + "train"))]
part = next(path for path in paths if path.getName().endswith("parquet"))
assert files.rename(part, Path(target + "users.parquet"))
n_rows = rows.count()
n_top = spark.read.csv(sys.argv[3]).count()
files.delete(Path(source.rstrip("/") + "/old.csv"), True)
files.create(Path(target + "_SUCCESS")).close()
assert open("packages/word.txt").read() == "unpacked"
print(helper.GREETING, n_rows, n_top, spark.conf.get("spark.sql.session.timeZone"), spark.sparkContext.master)
"""
STATES = ("TERMINATED", "TERMINATED_WITH_ERRORS")


@pytest.fixture(scope="module")
def flow(cloud: Cloud) -> dict[str, Any]:
    """A RunJobFlow document without steps, and all that it names."""
    service = make_role(cloud, "emr", "elasticmapreduce.amazonaws.com")
    make_role(cloud, "nodes", "ec2.amazonaws.com")
    iam, ec2, s3 = (cloud.client(name) for name in ("iam", "ec2", "s3"))
    iam.create_instance_profile(InstanceProfileName="nodes")
    iam.add_role_to_instance_profile(InstanceProfileName="nodes", RoleName="nodes")
    make_bucket(cloud, "lake", events=True)
    make_bucket(cloud, "lake-code")
    make_bucket(cloud, "lake-logs")
    s3.put_object(Bucket="lake-code", Key="spark/job.py", Body=JOB.encode())
    s3.put_object(
        Bucket="lake-code", Key="spark/helper.zip", Body=zipped({"helper.py": "GREETING = 'rows:'"})
    )
    s3.put_object(Bucket="lake-code", Key="spark/packages.zip", Body=zipped({"word.txt": "unpacked"}))
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    cloud.client("emr").create_security_configuration(Name="secure", SecurityConfiguration="{}")
    group = {"InstanceRole": "MASTER", "InstanceType": "r5.xlarge", "InstanceCount": 1, "Name": "Primary"}
    return {
        "Name": "prepare",
        "ReleaseLabel": "emr-7.10.0",
        "LogUri": "s3://lake-logs/emr/",
        "ServiceRole": service,
        "JobFlowRole": "nodes",
        "SecurityConfiguration": "secure",
        "Instances": {"InstanceGroups": [group], "Ec2SubnetId": subnet, "KeepJobFlowAliveWhenNoSteps": False},
        "Configurations": [
            {"Classification": "spark-defaults", "Properties": {"spark.sql.session.timeZone": "Asia/Seoul"}}
        ],
        "Tags": [{"Key": "Service", "Value": "shop"}],
    }


def step(*arguments: str, name: str = "prepare", on_failure: str = "TERMINATE_CLUSTER") -> dict[str, Any]:
    """A step that submits `JOB`."""
    command = ["spark-submit", "--deploy-mode", "cluster", "--py-files", "s3://lake-code/spark/helper.zip"]
    command += ["--archives", "s3://lake-code/spark/packages.zip#packages"]
    args = [*command, "s3://lake-code/spark/job.py", *arguments]
    runner = {"Jar": "command-runner.jar", "Args": args}
    return {"Name": name, "ActionOnFailure": on_failure, "HadoopJarStep": runner}


def ended(cloud: Cloud, cluster_id: str, timeout_s: float = 120) -> dict[str, Any]:
    """The cluster once it is gone."""

    def look() -> dict[str, Any] | None:
        found = cloud.client("emr").describe_cluster(ClusterId=cluster_id)["Cluster"]
        return dict(found) if found["Status"]["State"] in STATES else None

    cluster = wait_for(look, timeout_s)
    assert cluster is not None
    return cluster


def steps_of(cloud: Cloud, cluster_id: str) -> dict[str, dict[str, Any]]:
    """Status by step name."""
    return {s["Name"]: s["Status"] for s in cloud.client("emr").list_steps(ClusterId=cluster_id)["Steps"]}


@pytest.mark.spark
def test_a_step_reads_and_writes_s3_paths_and_its_marker_comes_last(
    cloud: Cloud, flow: dict[str, Any]
) -> None:
    s3 = cloud.client("s3")
    for name, body in (("a.csv", b"u,i\n1,2\n"), ("old.csv", b"u,i\n3,4\n")):
        s3.put_object(Bucket="lake", Key=f"raw/i/{name}", Body=body)
    s3.put_object(Bucket="lake", Key="raw/ignored/b.csv", Body=b"u,i\n5,6\n")
    s3.put_object(Bucket="lake", Key="top.csv", Body=b"1\n2\n3\n")
    url, queue = make_queue(cloud, "keys", rule_arn(cloud, "keys"))
    make_rule(cloud, "keys", {"source": ["aws.s3"]}, {"Arn": queue, "InputPath": "$.detail"})

    cluster_id = cloud.client("emr").run_job_flow(
        **flow, Steps=[step("s3://lake/raw/i/", "s3://lake/out/run=1/", "s3://lake/top.csv")]
    )["JobFlowId"]
    cluster = ended(cloud, cluster_id)

    assert cluster["Status"]["State"] == "TERMINATED", steps_of(cloud, cluster_id)
    assert cluster["Status"]["StateChangeReason"]["Code"] == "ALL_STEPS_COMPLETED"
    assert cluster["Tags"] == flow["Tags"]
    assert steps_of(cloud, cluster_id)["prepare"]["State"] == "COMPLETED"
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket="lake")["Contents"]]
    assert keys == [
        "out/run=1/_SUCCESS",
        "out/run=1/train/_SUCCESS",
        "out/run=1/users.parquet",
        "raw/i/a.csv",
        "raw/ignored/b.csv",
        "top.csv",
    ]
    told = [json.loads(receive(cloud, url)["Body"]) for _ in range(4)]
    assert {d["object"]["key"] for d in told if d["reason"] == "DeleteObject"} == {"raw/i/old.csv"}
    created = {d["object"]["key"]: d["object"]["sequencer"] for d in told if d["reason"] == "PutObject"}
    assert max(created, key=lambda key: created[key]) == "out/run=1/_SUCCESS"
    assert is_empty(cloud, url)
    step_id = cloud.client("emr").list_steps(ClusterId=cluster_id)["Steps"][0]["Id"]
    log = s3.get_object(Bucket="lake-logs", Key=f"emr/{cluster_id}/steps/{step_id}/stdout.gz")["Body"].read()
    assert gzip.decompress(log).decode().splitlines()[-1].startswith("rows: 2 3 Asia/Seoul local[")


@pytest.mark.spark
def test_a_failed_step_ends_the_cluster_and_says_why(cloud: Cloud, flow: dict[str, Any]) -> None:
    failing = step("s3://lake/raw/", "nowhere", name="first", on_failure="CONTINUE")
    fatal = step("s3://absent-bucket/raw/", "nowhere", name="second")
    never = step("s3://lake/raw/", "nowhere", name="third")
    cluster_id = cloud.client("emr").run_job_flow(**flow, Steps=[failing, fatal, never])["JobFlowId"]
    cluster = ended(cloud, cluster_id)

    assert cluster["Status"]["State"] == "TERMINATED_WITH_ERRORS"
    assert cluster["Status"]["StateChangeReason"]["Code"] == "STEP_FAILURE"
    statuses = steps_of(cloud, cluster_id)
    assert [statuses[name]["State"] for name in ("first", "second", "third")] == [
        "FAILED",
        "FAILED",
        "CANCELLED",
    ]
    details = statuses["first"]["FailureDetails"]
    assert details["Reason"] == "The step exited with status 2."
    assert details["Message"] == "exit code 2: ValueError: row 7 has no user"
    assert details["LogFile"].startswith(f"s3://lake-logs/emr/{cluster_id}/steps/")
    assert "NoSuchBucket" in statuses["second"]["FailureDetails"]["Message"]
    groups = cloud.client("emr").list_instance_groups(ClusterId=cluster_id)["InstanceGroups"]
    assert [group["Status"]["State"] for group in groups] == ["TERMINATED"]


def test_a_cluster_that_is_kept_waits_for_steps_until_it_is_terminated(
    cloud: Cloud, flow: dict[str, Any]
) -> None:
    emr = cloud.client("emr")
    instances = {**flow["Instances"], "KeepJobFlowAliveWhenNoSteps": True}
    cluster_id = emr.run_job_flow(**{**flow, "Instances": instances})["JobFlowId"]

    def state() -> str:
        return str(emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"])

    wait_for(lambda: state() == "WAITING")
    added = step("s3://absent-bucket/raw/", "nowhere", name="added", on_failure="CONTINUE")
    emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[added])
    wait_for(lambda: steps_of(cloud, cluster_id)["added"]["State"] == "FAILED")
    wait_for(lambda: state() == "WAITING")
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    assert ended(cloud, cluster_id)["Status"]["StateChangeReason"]["Code"] == "USER_REQUEST"
    with pytest.raises(ClientError, match="takes no steps"):
        emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[added])


def fleet(role: str, on_demand: int, spot: int = 0, **changes: Any) -> dict[str, Any]:
    """A fleet of one type, with one disk a node."""
    disk = {"VolumeSpecification": {"VolumeType": "gp3", "SizeInGB": 64}, "VolumesPerInstance": 1}
    type_ = {
        "InstanceType": "r5.xlarge",
        "WeightedCapacity": 1 if role == "MASTER" else 4,
        "EbsConfiguration": {"EbsBlockDeviceConfigs": [disk]},
    }
    launch = {"SpotSpecification": {"TimeoutDurationMinutes": 10, "TimeoutAction": "SWITCH_TO_ON_DEMAND"}}
    return {
        "InstanceFleetType": role,
        "Name": role.title(),
        "TargetOnDemandCapacity": on_demand,
        "TargetSpotCapacity": spot,
        "InstanceTypeConfigs": [type_],
        "LaunchSpecifications": launch,
        **changes,
    }


FLEETS = [fleet("MASTER", 1), fleet("CORE", 8), fleet("TASK", 0, 8)]
LIMITS = {"UnitType": "InstanceFleetUnits", "MinimumCapacityUnits": 8, "MaximumCapacityUnits": 32}


def of_fleets(flow: dict[str, Any], fleets: list[dict[str, Any]], **instances: Any) -> dict[str, Any]:
    """The flow, of fleets instead of groups."""
    network = {"Ec2SubnetIds": [flow["Instances"]["Ec2SubnetId"]]}
    return {**flow, "Instances": {**network, "InstanceFleets": fleets, **instances}}


def test_fleets_and_policies_are_told_as_they_were_asked_for(cloud: Cloud, flow: dict[str, Any]) -> None:
    emr = cloud.client("emr")
    asked = of_fleets(flow, FLEETS, KeepJobFlowAliveWhenNoSteps=True)
    cluster_id = emr.run_job_flow(
        **asked,
        ManagedScalingPolicy={"ComputeLimits": LIMITS},
        AutoTerminationPolicy={"IdleTimeout": 900},
    )["JobFlowId"]

    def described() -> dict[str, Any]:
        return dict(emr.describe_cluster(ClusterId=cluster_id)["Cluster"])

    wait_for(lambda: described()["Status"]["State"] == "WAITING")
    cluster = described()
    assert cluster["InstanceCollectionType"] == "INSTANCE_FLEET"
    network = cluster["Ec2InstanceAttributes"]
    assert [network["Ec2SubnetId"]] == network["RequestedEc2SubnetIds"] == asked["Instances"]["Ec2SubnetIds"]
    pages = emr.get_paginator("list_instance_fleets").paginate(ClusterId=cluster_id)
    fleets = {each["InstanceFleetType"]: each for page in pages for each in page["InstanceFleets"]}
    assert {role: each["Status"]["State"] for role, each in fleets.items()} == dict.fromkeys(
        ("MASTER", "CORE", "TASK"), "RUNNING"
    )
    task = fleets["TASK"]
    assert (task["TargetSpotCapacity"], task["ProvisionedSpotCapacity"]) == (8, 8)
    assert task["LaunchSpecifications"] == FLEETS[2]["LaunchSpecifications"]
    (type_,) = task["InstanceTypeSpecifications"]
    assert (type_["InstanceType"], type_["WeightedCapacity"]) == ("r5.xlarge", 4)
    assert [disk["VolumeSpecification"]["SizeInGB"] for disk in type_["EbsBlockDevices"]] == [64]
    policy = emr.get_managed_scaling_policy(ClusterId=cluster_id)["ManagedScalingPolicy"]
    assert policy["ComputeLimits"] == LIMITS
    idle = emr.get_auto_termination_policy(ClusterId=cluster_id)["AutoTerminationPolicy"]
    assert idle == {"IdleTimeout": 900}

    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    ended(cloud, cluster_id)
    after = emr.list_instance_fleets(ClusterId=cluster_id)["InstanceFleets"]
    assert {each["Status"]["State"] for each in after} == {"TERMINATED"}
    assert {each["ProvisionedSpotCapacity"] for each in after} == {0}


def test_a_cluster_of_groups_has_no_fleets(cloud: Cloud, flow: dict[str, Any]) -> None:
    emr = cloud.client("emr")
    cluster_id = emr.run_job_flow(**flow)["JobFlowId"]
    assert ended(cloud, cluster_id)["InstanceCollectionType"] == "INSTANCE_GROUP"
    with pytest.raises(ClientError, match="mutually exclusive"):
        emr.list_instance_fleets(ClusterId=cluster_id)
    with pytest.raises(ClientError, match="Cluster id 'j-0' is not valid"):
        emr.list_instance_fleets(ClusterId="j-0")


@pytest.mark.parametrize(
    ("fleets", "changes", "message"),
    [
        ([fleet("CORE", 8)], {}, "exactly one MASTER fleet is needed"),
        ([fleet("MASTER", 2)], {}, "the MASTER fleet has a target capacity of 2"),
        ([*FLEETS, fleet("TASK", 4)], {}, "a fleet of one role is there twice"),
        ([fleet("MASTER", 1), fleet("CORE", 0)], {}, "the CORE fleet has a target capacity of 0"),
        ([fleet("MASTER", 1), fleet("CORE", 2)], {}, "r5.xlarge weighs 4, more than the target 2"),
        ([fleet("MASTER", 1, InstanceTypeConfigs=[])], {}, "the MASTER fleet has no InstanceTypeConfigs"),
        (
            [fleet("MASTER", 1), fleet("CORE", 0, 4, LaunchSpecifications={})],
            {},
            "the CORE fleet asks for spot capacity without a SpotSpecification",
        ),
        (
            FLEETS,
            {"ManagedScalingPolicy": {"ComputeLimits": {**LIMITS, "UnitType": "Instances"}}},
            "UnitType Instances does not go with instance fleets",
        ),
        (
            FLEETS,
            {"ManagedScalingPolicy": {"ComputeLimits": {**LIMITS, "MaximumCoreCapacityUnits": 64}}},
            "MaximumCoreCapacityUnits 64 is more than MaximumCapacityUnits 32",
        ),
        (FLEETS, {"AutoTerminationPolicy": {"IdleTimeout": 59}}, "59 is not between 60 and 604800"),
    ],
)
def test_capacity_that_emr_would_not_give_is_refused(
    cloud: Cloud, flow: dict[str, Any], fleets: list[dict[str, Any]], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        cloud.client("emr").run_job_flow(**{**of_fleets(flow, fleets), **changes})


def test_groups_and_fleets_do_not_go_together(cloud: Cloud, flow: dict[str, Any]) -> None:
    both = of_fleets(flow, FLEETS, InstanceGroups=flow["Instances"]["InstanceGroups"])
    with pytest.raises(ClientError, match="can't be in one cluster"):
        cloud.client("emr").run_job_flow(**both)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ReleaseLabel": "emr-8"}, "ReleaseLabel: The supplied release label is invalid: emr-8."),
        ({"ServiceRole": "nodes"}, "ServiceRole: nodes does not exist or does not trust EMR"),
        ({"JobFlowRole": "nobody"}, "JobFlowRole: Invalid InstanceProfile: nobody."),
        ({"SecurityConfiguration": "none"}, "Security configuration with name 'none' does not exist."),
        ({"Instances": {"Ec2SubnetId": "subnet-0"}}, "The subnet subnet-0 does not exist"),
        ({"Instances": {"ServiceAccessSecurityGroup": "sg-0"}}, "The security group sg-0 does not exist"),
        (
            {"BootstrapActions": [{"Name": "b", "ScriptBootstrapAction": {"Path": "s3://b/s"}}]},
            "BootstrapActions: ",
        ),
        (
            {"Steps": [{"Name": "s", "HadoopJarStep": {"Jar": "s3://b/own.jar"}}]},
            "step s: the embedded cloud runs command-runner.jar only",
        ),
    ],
)
def test_what_is_wrong_is_refused_at_once(
    cloud: Cloud, flow: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        cloud.client("emr").run_job_flow(**{**flow, **changes})
    assert not cloud.client("emr").list_clusters(ClusterStates=["STARTING", "RUNNING"])["Clusters"]


def test_a_mirror_brings_back_what_changed_and_nothing_else(cloud: Cloud, tmp_path: Path) -> None:
    make_bucket(cloud, "mirrored")
    s3 = cloud.client("s3")
    for key in ("in/a", "in/b", "in2/c", "in/deep/d", "top"):
        s3.put_object(Bucket="mirrored", Key=key, Body=key.encode())
    mirror = Mirror(s3, tmp_path)
    assert mirror.fetch(["s3://mirrored/in/", "s3://mirrored/top", "s3a://mirrored/new/"]) == 4
    folder = tmp_path / "mirrored"
    assert not (folder / "in2").exists()
    assert (folder / "new").is_dir()
    assert "fs.viewfs.mounttable.mirrored.link./new" in mirror.core_site()
    (folder / "in" / "a").write_text("changed")
    (folder / "in" / "b").unlink()
    (folder / "new" / "_SUCCESS").write_text("")
    (folder / "new" / "part").write_text("part")
    (folder / "new" / ".part.crc").write_text("sum")
    assert mirror.push() == [
        "s3://mirrored/in/a",
        "s3://mirrored/new/part",
        "s3://mirrored/new/_SUCCESS",
    ]
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket="mirrored")["Contents"]]
    assert keys == ["in/a", "in/deep/d", "in2/c", "new/_SUCCESS", "new/part", "top"]
    assert mirror.push() == []
