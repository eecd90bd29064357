"""Clusters: input and output of steps, final states, and refused requests."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from tests.emulator.services.emr.conftest import await_state, ended, step, steps_of
from tests.emulator.support import WAIT_S, is_empty, make_queue, make_rule, receive, rule_arn
from tests.polling import eventually


@pytest.mark.spark
def test_step_reads_and_writes_s3_paths_in_the_order_of_its_writes(
    emulator: Emulator, flow: dict[str, Any]
) -> None:
    s3 = emulator.client("s3")
    for name, body in (("a.csv", b"u,i\n1,2\n"), ("old.csv", b"u,i\n3,4\n")):
        s3.put_object(Bucket="lake", Key=f"raw/i/{name}", Body=body)
    s3.put_object(Bucket="lake", Key="raw/ignored/b.csv", Body=b"u,i\n5,6\n")
    s3.put_object(Bucket="lake", Key="top.csv", Body=b"1\n2\n3\n")
    url, queue = make_queue(emulator, "keys", rule_arn(emulator, "keys"))
    make_rule(emulator, "keys", {"source": ["aws.s3"]}, {"Arn": queue, "InputPath": "$.detail"})

    cluster_id = emulator.client("emr").run_job_flow(
        **flow, Steps=[step("s3://lake/raw/i/", "s3://lake/out/run=1/", "s3://lake/top.csv")]
    )["JobFlowId"]
    cluster = ended(emulator, cluster_id)

    assert cluster["Status"]["State"] == "TERMINATED", steps_of(emulator, cluster_id)
    assert cluster["Status"]["StateChangeReason"]["Code"] == "ALL_STEPS_COMPLETED"
    assert cluster["Tags"] == flow["Tags"]
    assert steps_of(emulator, cluster_id)["prepare"]["State"] == "COMPLETED"
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket="lake")["Contents"]]
    assert keys == [
        "out/run=1/_SUCCESS",
        "out/run=1/train/_SUCCESS",
        "out/run=1/users.parquet",
        "raw/i/a.csv",
        "raw/ignored/b.csv",
        "top.csv",
    ]
    events = [json.loads(receive(emulator, url)["Body"]) for _ in range(6)]
    events.sort(key=lambda detail: detail["object"]["sequencer"])
    order = [(detail["reason"], re.sub("part-.*", "part", detail["object"]["key"])) for detail in events]
    assert order == [
        ("PutObject", "out/run=1/train/part"),
        ("PutObject", "out/run=1/train/_SUCCESS"),
        ("PutObject", "out/run=1/users.parquet"),
        ("DeleteObject", "out/run=1/train/part"),
        ("DeleteObject", "raw/i/old.csv"),
        ("PutObject", "out/run=1/_SUCCESS"),
    ]
    assert is_empty(emulator, url)
    step_id = emulator.client("emr").list_steps(ClusterId=cluster_id)["Steps"][0]["Id"]
    log = s3.get_object(Bucket="lake-logs", Key=f"emr/{cluster_id}/steps/{step_id}/stdout.gz")["Body"].read()
    assert gzip.decompress(log).decode().splitlines()[-1].startswith("rows: 2 3 Asia/Seoul local[")


@pytest.mark.spark
def test_failed_step_terminates_the_cluster_with_failure_details(
    emulator: Emulator, flow: dict[str, Any]
) -> None:
    failing = step("s3://lake/raw/", "nowhere", name="first", on_failure="CONTINUE")
    fatal = step("s3://absent-bucket/raw/", "nowhere", name="second")
    never = step("s3://lake/raw/", "nowhere", name="third")
    cluster_id = emulator.client("emr").run_job_flow(**flow, Steps=[failing, fatal, never])["JobFlowId"]
    cluster = ended(emulator, cluster_id)

    assert cluster["Status"]["State"] == "TERMINATED_WITH_ERRORS"
    assert cluster["Status"]["StateChangeReason"]["Code"] == "STEP_FAILURE"
    statuses = steps_of(emulator, cluster_id)
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
    groups = emulator.client("emr").list_instance_groups(ClusterId=cluster_id)["InstanceGroups"]
    assert [group["Status"]["State"] for group in groups] == ["TERMINATED"]


def test_keep_alive_cluster_waits_for_steps_until_it_is_terminated(
    emulator: Emulator, flow: dict[str, Any]
) -> None:
    emr = emulator.client("emr")
    instances = {**flow["Instances"], "KeepJobFlowAliveWhenNoSteps": True}
    cluster_id = emr.run_job_flow(**{**flow, "Instances": instances})["JobFlowId"]
    await_state(emulator, cluster_id, "WAITING")
    added = step("s3://absent-bucket/raw/", "nowhere", name="added", on_failure="CONTINUE")
    emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[added])
    eventually(lambda: steps_of(emulator, cluster_id)["added"]["State"] == "FAILED", WAIT_S, "the step fails")
    await_state(emulator, cluster_id, "WAITING")
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    assert ended(emulator, cluster_id)["Status"]["StateChangeReason"]["Code"] == "USER_REQUEST"
    with pytest.raises(ClientError, match="does not accept steps"):
        emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[added])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ReleaseLabel": "emr-8"}, "ReleaseLabel: The supplied release label is invalid: emr-8."),
        ({"ServiceRole": "nodes"}, "ServiceRole: nodes does not exist or does not trust EMR"),
        ({"JobFlowRole": "absent"}, "JobFlowRole: Invalid InstanceProfile: absent."),
        ({"SecurityConfiguration": "none"}, "Security configuration with name 'none' does not exist."),
        ({"Instances": {"Ec2SubnetId": "subnet-0"}}, "The subnet subnet-0 does not exist"),
        ({"Instances": {"ServiceAccessSecurityGroup": "sg-0"}}, "The security group sg-0 does not exist"),
        (
            {"BootstrapActions": [{"Name": "b", "ScriptBootstrapAction": {"Path": "s3://b/s"}}]},
            "BootstrapActions: ",
        ),
        (
            {"Steps": [{"Name": "s", "HadoopJarStep": {"Jar": "s3://b/own.jar"}}]},
            "step s: the emulator runs command-runner.jar only",
        ),
    ],
)
def test_invalid_request_is_refused(
    emulator: Emulator, flow: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        emulator.client("emr").run_job_flow(**{**flow, **changes})
    assert not emulator.client("emr").list_clusters(ClusterStates=["STARTING", "RUNNING"])["Clusters"]
