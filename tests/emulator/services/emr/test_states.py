"""Cluster state change events, and termination of a cluster while a step starts."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from emulator.app import Emulator
from tests.emulator.services.emr.conftest import EmrUnderTest, await_state, ended
from tests.emulator.support import make_queue, make_rule, receive, rule_arn

SLEEP_S = 300


@pytest.fixture
def kept_flow(flow: dict[str, Any]) -> dict[str, Any]:
    """RunJobFlow request for a cluster that waits for steps."""
    return {**flow, "Name": "kept", "Instances": {**flow["Instances"], "KeepJobFlowAliveWhenNoSteps": True}}


@pytest.fixture
def hooks(under_test: EmrUnderTest) -> Iterator[EmrUnderTest]:
    """EMR under test; its hook is reset after the test."""
    before_start = under_test.before_start
    yield under_test
    under_test.before_start = before_start


def step(source: str, on_failure: str) -> dict[str, Any]:
    """Step of a job that reads one prefix."""
    runner = {"Jar": "command-runner.jar", "Args": ["spark-submit", "s3://lake-code/spark/job.py", source]}
    return {"Name": "prepare", "ActionOnFailure": on_failure, "HadoopJarStep": runner}


def test_every_state_of_a_cluster_is_published(emulator: Emulator, kept_flow: dict[str, Any]) -> None:
    url, queue = make_queue(emulator, "states", rule_arn(emulator, "states"))
    pattern = {
        "source": ["aws.emr"],
        "detail-type": ["EMR Cluster State Change"],
        "detail": {"name": ["kept"]},
    }
    make_rule(emulator, "states", pattern, {"Arn": queue, "InputPath": "$.detail"})
    emr = emulator.client("emr")
    cluster_id = emr.run_job_flow(**kept_flow)["JobFlowId"]
    await_state(emulator, cluster_id, "WAITING")
    emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step("s3://absent/raw/", "TERMINATE_CLUSTER")])
    ended(emulator, cluster_id)

    states = [
        *("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"),
        *("RUNNING", "TERMINATING", "TERMINATED_WITH_ERRORS"),  # RUNNING again for the added step
    ]
    details = [json.loads(receive(emulator, url)["Body"]) for _ in states]
    assert sorted(detail["state"] for detail in details) == sorted(states)
    by_state = {detail["state"]: detail for detail in details}
    end = by_state["TERMINATED_WITH_ERRORS"]
    assert (end["severity"], by_state["RUNNING"]["severity"]) == ("CRITICAL", "INFO")
    assert end["message"].startswith(
        f"Amazon EMR Cluster {cluster_id} (kept) has terminated with errors at 20"
    )
    assert end["message"].endswith(" UTC with a reason of STEP_FAILURE.")


def test_step_whose_process_is_starting_ends_with_its_cluster(
    emulator: Emulator, kept_flow: dict[str, Any], hooks: EmrUnderTest
) -> None:
    emr = emulator.client("emr")
    cluster_id = emr.run_job_flow(**kept_flow)["JobFlowId"]
    await_state(emulator, cluster_id, "WAITING")

    def terminate_and_sleep(_: Sequence[str]) -> Sequence[str]:
        emr.terminate_job_flows(JobFlowIds=[cluster_id])
        return [sys.executable, "-c", f"import time; time.sleep({SLEEP_S})"]

    hooks.before_start = terminate_and_sleep
    began = time.monotonic()
    emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step("s3://lake-code/spark/job.py", "CONTINUE")])
    assert ended(emulator, cluster_id)["Status"]["State"] == "TERMINATED"
    assert time.monotonic() - began < SLEEP_S
    (last,) = emr.list_steps(ClusterId=cluster_id)["Steps"]
    assert last["Status"]["State"] in {"CANCELLED", "FAILED"}
