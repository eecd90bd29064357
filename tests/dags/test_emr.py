"""EMR job flows: search by run id and failure messages, from stubbed responses that botocore validates."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.exceptions import AirflowException, AirflowFailException
from botocore.response import StreamingBody
from botocore.stub import Stubber
from ncf_preparation.emr import JobFlowSensor, active_job_flow, failure_of

ACTIVE = {"ClusterStates": ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]}
FAILED_STEPS = {"ClusterId": "j-1", "StepStates": ["FAILED", "INTERRUPTED"]}
LOG = "s3://logs/emr/j-1/steps/s-1/stderr.gz"
REFUSAL = "ml.preparation: s3://data/raw/: no column for the time"


def stubbed(service: str) -> Iterator[Stubber]:
    client = boto3.client(service, "ap-northeast-2", aws_access_key_id="a", aws_secret_access_key="a")
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def emr() -> Iterator[Stubber]:
    yield from stubbed("emr")


@pytest.fixture
def s3() -> Iterator[Stubber]:
    yield from stubbed("s3")


def document(run_id: str) -> dict[str, Any]:
    return {"Name": "ncf-prod-preparation", "Steps": [{"HadoopJarStep": {"Args": ["--run-id", run_id]}}]}


def listed(*clusters: tuple[str, str]) -> dict[str, Any]:
    return {"Clusters": [{"Id": id_, "Name": name} for id_, name in clusters]}


def steps_of(run_id: str) -> dict[str, Any]:
    return {"Steps": [{"Id": "s-1", "Config": {"Args": ["--run-id", run_id]}}]}


def test_active_job_flow_is_found_by_its_step_arguments(emr: Stubber) -> None:
    emr.add_response("list_clusters", listed(("j-1", "other"), ("j-2", "ncf-prod-preparation")), ACTIVE)
    emr.add_response("list_steps", steps_of("20261122T170000Z"), {"ClusterId": "j-2"})
    assert active_job_flow(emr.client, document("20261123T170000Z")) is None

    emr.add_response("list_clusters", listed(("j-3", "ncf-prod-preparation")), ACTIVE)
    emr.add_response("list_steps", steps_of("20261123T170000Z"), {"ClusterId": "j-3"})
    assert active_job_flow(emr.client, document("20261123T170000Z")) == "j-3"


def add_cluster(emr: Stubber, state: str, code: str, message: str) -> None:
    status = {"State": state, "StateChangeReason": {"Code": code, "Message": message}}
    emr.add_response("describe_cluster", {"Cluster": {"Id": "j-1", "Status": status}}, {"ClusterId": "j-1"})


def add_failed_step(emr: Stubber, details: dict[str, str]) -> None:
    step = {"Id": "s-1", "Name": "prepare", "Status": {"State": "FAILED", "FailureDetails": details}}
    later = {"Id": "s-2", "Name": "later", "Status": {"State": "FAILED"}}
    emr.add_response("list_steps", {"Steps": [later, step]}, FAILED_STEPS)  # the newest first


def test_failure_contains_the_error_of_the_first_failed_step(emr: Stubber, s3: Stubber) -> None:
    add_cluster(emr, "TERMINATED_WITH_ERRORS", "STEP_FAILURE", "Shut down as step failed")
    add_failed_step(emr, {"Reason": "Unknown Error.", "LogFile": LOG})
    log = gzip.compress(f"26/11/23 WARN something\n{REFUSAL}\n26/11/23 INFO end\n".encode())
    body = StreamingBody(io.BytesIO(log), len(log))
    expected = {"Bucket": "logs", "Key": "emr/j-1/steps/s-1/stderr.gz"}
    s3.add_response("get_object", {"Body": body, "ContentLength": len(log)}, expected)

    assert failure_of(emr.client, s3.client, "j-1") == (
        "EMR j-1 ended TERMINATED_WITH_ERRORS: STEP_FAILURE: Shut down as step failed: step prepare FAILED: "
        f"Unknown Error.: {REFUSAL}: log {LOG}"
    )


def test_driver_error_is_read_from_the_yarn_container_logs(emr: Stubber, s3: Stubber) -> None:
    add_cluster(emr, "TERMINATED_WITH_ERRORS", "STEP_FAILURE", "Shut down as step failed")
    add_failed_step(emr, {"Reason": "Unknown Error.", "LogFile": LOG})
    driver = "emr/j-1/containers/application_1_0001/container_1_0001_01_000001/stdout.gz"
    other = driver.replace("_000001/", "_000002/")
    for key, line in (
        (LOG.partition("logs/")[2], "Application application_1_0001 failed"),
        (driver, REFUSAL),
    ):
        if key == driver:
            s3.add_response(
                "list_objects_v2",
                {"Contents": [{"Key": other}, {"Key": driver}]},
                {"Bucket": "logs", "Prefix": "emr/j-1/containers/"},
            )
        log = gzip.compress(f"{line}\n".encode())
        body = StreamingBody(io.BytesIO(log), len(log))
        s3.add_response(
            "get_object", {"Body": body, "ContentLength": len(log)}, {"Bucket": "logs", "Key": key}
        )

    assert f"Unknown Error.: {REFUSAL}: log {LOG}" in failure_of(emr.client, s3.client, "j-1")


def test_failure_is_reported_without_a_log(emr: Stubber, s3: Stubber) -> None:
    add_cluster(emr, "TERMINATED_WITH_ERRORS", "STEP_FAILURE", "Shut down as step failed")
    add_failed_step(emr, {"Message": "exit code 2", "LogFile": LOG})
    s3.add_client_error("get_object", "NoSuchKey")
    s3.add_client_error("list_objects_v2", "AccessDenied")

    failure = failure_of(emr.client, s3.client, "j-1")

    assert failure.endswith(f"step prepare FAILED: exit code 2: log {LOG}")


def test_failure_before_the_first_step_contains_the_reason_of_emr(emr: Stubber, s3: Stubber) -> None:
    add_cluster(emr, "TERMINATED_WITH_ERRORS", "BOOTSTRAP_FAILURE", "No capacity\nfor r5.xlarge")
    emr.add_response("list_steps", {"Steps": []}, FAILED_STEPS)

    assert failure_of(emr.client, s3.client, "j-1") == (
        "EMR j-1 ended TERMINATED_WITH_ERRORS: BOOTSTRAP_FAILURE: No capacity for r5.xlarge"
    )


@pytest.mark.parametrize(
    ("state", "message", "raised", "reason"),
    [
        ("TERMINATED_WITH_ERRORS", "terminal failure", AirflowFailException, "STEP_FAILURE"),
        ("RUNNING", "Waiter error: max attempts reached", AirflowFailException, "j-1 is RUNNING after 60 s"),
        ("RUNNING", "An error occurred (AccessDenied)", AirflowException, "AccessDenied"),
    ],
)
def test_only_failed_polls_are_retried(
    emr: Stubber, state: str, message: str, raised: type[Exception], reason: str
) -> None:
    sensor = JobFlowSensor(
        task_id="wait", job_flow_id="j-1", deferrable=True, poke_interval=6, max_attempts=10
    )
    sensor.__dict__["hook"] = SimpleNamespace(conn=emr.client)  # a cached property
    add_cluster(emr, state, "STEP_FAILURE", "")
    if state == "TERMINATED_WITH_ERRORS":
        add_cluster(emr, state, "STEP_FAILURE", "")
        emr.add_response("list_steps", {"Steps": []}, FAILED_STEPS)

    with pytest.raises(AirflowException, match=reason) as caught:
        sensor.execute_complete({}, {"status": "error", "message": message})

    assert type(caught.value) is raised


def test_failed_trigger_is_reported_like_a_failed_poll(emr: Stubber) -> None:
    """The trigger of the provider that MWAA installs with Airflow 3.0.6 fails instead of sending an event."""
    sensor = JobFlowSensor(
        task_id="wait", job_flow_id="j-1", deferrable=True, poke_interval=6, max_attempts=10
    )
    sensor.__dict__["hook"] = SimpleNamespace(conn=emr.client)  # a cached property
    add_cluster(emr, "RUNNING", "", "")
    failure = {"error": "Trigger failure", "traceback": ["Waiter error: max attempts reached"]}

    with pytest.raises(AirflowFailException, match="j-1 is RUNNING after 60 s"):
        sensor.resume_execution("__fail__", failure, {})
