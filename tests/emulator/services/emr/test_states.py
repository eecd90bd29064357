"""What a cluster tells of itself on its way, and that its end is an end."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from emulator.app import Emulator
from tests.emulator.services.emr.conftest import STATES
from tests.emulator.support import (
    make_bucket,
    make_queue,
    make_role,
    make_rule,
    receive,
    rule_arn,
)
from tests.polling import eventually


@pytest.fixture(scope="module")
def flow(emulator: Emulator) -> dict[str, Any]:
    """A cluster of one node that waits for steps."""
    iam = emulator.client("iam")
    service = make_role(emulator, "emr-told", "elasticmapreduce.amazonaws.com")
    make_role(emulator, "nodes-told", "ec2.amazonaws.com")
    iam.create_instance_profile(InstanceProfileName="nodes-told")
    iam.add_role_to_instance_profile(InstanceProfileName="nodes-told", RoleName="nodes-told")
    make_bucket(emulator, "code-told")
    emulator.client("s3").put_object(Bucket="code-told", Key="job.py", Body=b"")
    group = {"InstanceRole": "MASTER", "InstanceType": "r5.xlarge", "InstanceCount": 1}
    return {
        "Name": "told",
        "ReleaseLabel": "emr-7.12.0",
        "ServiceRole": service,
        "JobFlowRole": "nodes-told",
        "Instances": {"InstanceGroups": [group], "KeepJobFlowAliveWhenNoSteps": True},
    }


def step(source: str, on_failure: str) -> dict[str, Any]:
    runner = {"Jar": "command-runner.jar", "Args": ["spark-submit", "s3://code-told/job.py", source]}
    return {"Name": "prepare", "ActionOnFailure": on_failure, "HadoopJarStep": runner}


def state(emulator: Emulator, cluster_id: str) -> str:
    return str(emulator.client("emr").describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"])


def test_each_state_is_told_as_the_service_tells_it(emulator: Emulator, flow: dict[str, Any]) -> None:
    url, queue = make_queue(emulator, "told", rule_arn(emulator, "told"))
    pattern = {
        "source": ["aws.emr"],
        "detail-type": ["EMR Cluster State Change"],
        "detail": {"name": ["told"]},
    }
    make_rule(emulator, "told", pattern, {"Arn": queue, "InputPath": "$.detail"})
    emr = emulator.client("emr")
    cluster_id = emr.run_job_flow(**flow)["JobFlowId"]
    eventually(lambda: state(emulator, cluster_id) == "WAITING")
    emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step("s3://absent/raw/", "TERMINATE_CLUSTER")])
    eventually(lambda: state(emulator, cluster_id) in STATES)

    states = [
        *("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"),
        *("RUNNING", "TERMINATING", "TERMINATED_WITH_ERRORS"),  # it runs again once there is a step
    ]
    told = [json.loads(receive(emulator, url)["Body"]) for _ in states]
    assert sorted(each["state"] for each in told) == sorted(states)
    by_state = {each["state"]: each for each in told}
    end = by_state["TERMINATED_WITH_ERRORS"]
    assert (end["severity"], by_state["RUNNING"]["severity"]) == ("CRITICAL", "INFO")
    assert end["message"].startswith(
        f"Amazon EMR Cluster {cluster_id} (told) has terminated with errors at 20"
    )
    assert end["message"].endswith(" UTC with a reason of STEP_FAILURE.")


def test_a_step_that_is_only_just_starting_ends_with_its_cluster(
    emulator: Emulator, flow: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    emr = emulator.client("emr")
    cluster_id = emr.run_job_flow(**flow)["JobFlowId"]
    eventually(lambda: state(emulator, cluster_id) == "WAITING")
    start = emulator.host.processes.start

    def start_late(_: Any, **named: Any) -> Any:
        emr.terminate_job_flows(JobFlowIds=[cluster_id])
        return start([sys.executable, "-c", "import time; time.sleep(300)"], **named)

    monkeypatch.setattr(emulator.host.processes, "start", start_late)
    emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step("s3://code-told/job.py", "CONTINUE")])
    eventually(lambda: state(emulator, cluster_id) == "TERMINATED")
    (ended,) = emr.list_steps(ClusterId=cluster_id)["Steps"]
    assert ended["Status"]["State"] in {"CANCELLED", "FAILED"}  # long before its five minutes are over
