"""Complete runs of the DAG in Airflow, with real triggers, AWS calls and the Spark job, on the emulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.utils.session import create_session

from ml import contract
from tests.dags.conftest import AirflowStage, Mailbox
from tests.dags.runs import N_EVENTS_EACH, N_USERS, clusters, good_events, keys_of, put_raw, run, states

pytestmark = pytest.mark.usefixtures("metadata_database")
SEOUL = ZoneInfo("Asia/Seoul")
PROGRAM = "spark/prepare.py"
DELAY_S = 120


@pytest.fixture
def delayed_program(stage: AirflowStage) -> Iterator[None]:
    """The job starts late, so that it is active when a time limit ends, however long Airflow takes."""
    program, bucket = stage.artifact(PROGRAM), stage.outputs["artifacts_bucket"]
    delayed = f"import time\n\ntime.sleep({DELAY_S})\n".encode() + program
    stage.client("s3").put_object(Bucket=bucket, Key=PROGRAM, Body=delayed)
    yield
    stage.client("s3").put_object(Bucket=bucket, Key=PROGRAM, Body=program)


def test_interval_is_prepared_validated_and_not_launched_twice(
    stage: AirflowStage, dag: Any, mailbox: Mailbox
) -> None:
    put_raw(stage, good_events())
    night, before = datetime(2026, 11, 25, 2, 0, tzinfo=SEOUL), clusters(stage)

    first = run(stage, dag, night)

    assert (first.state, set(states(first).values())) == ("success", {"success"})
    # The end of the interval, in UTC.
    assert {contract.SUCCESS_FILE, contract.MANIFEST_FILE} <= keys_of(stage, "20261124T170000Z")
    with create_session() as session:
        checked = first.get_task_instance("check_run", session=session).xcom_pull("check_run")
    assert (checked["events_read"], checked["users"]) == (N_USERS * N_EVENTS_EACH, N_USERS)
    launched = {id_: state for id_, state in clusters(stage).items() if id_ not in before}
    assert list(launched.values()) == ["TERMINATED"]

    again = run(stage, dag, night + timedelta(minutes=1))  # in the same interval

    assert again.state == "success"
    assert states(again) == {
        "read_launch_document": "success",
        "choose": "success",
        "launch_job_flow": "skipped",
        "wait_for_job_flow": "skipped",
        "terminate_job_flow": "skipped",
        "check_run": "success",
    }
    assert clusters(stage).keys() == before.keys() | launched.keys()
    assert mailbox() == []


def test_bad_input_fails_the_run_with_one_notification(
    stage: AirflowStage, dag: Any, mailbox: Mailbox
) -> None:
    put_raw(stage, "who,what\nu1,i1\n")

    failed = run(stage, dag, datetime(2026, 11, 26, 2, 0, tzinfo=SEOUL))

    assert failed.state == "failed"
    assert states(failed) == {
        "read_launch_document": "success",
        "choose": "success",
        "launch_job_flow": "success",
        "wait_for_job_flow": "failed",
        "terminate_job_flow": "success",
        "check_run": "upstream_failed",
    }
    (message,) = mailbox()
    assert "prepare_interactions.wait_for_job_flow failed" in message
    assert "STEP_FAILURE" in message
    assert "ml.preparation: " in message
    assert contract.SUCCESS_FILE not in keys_of(stage, "20261125T170000Z")


@pytest.mark.usefixtures("delayed_program")
def test_active_job_flow_is_adopted_and_terminated_after_the_time_limit(
    stage: AirflowStage, dag: Any, mailbox: Mailbox
) -> None:
    put_raw(stage, good_events())
    document = stage.artifact(contract.RUN_JOB_FLOW_KEY).decode()
    document = document.replace(contract.RUN_ID_PLACEHOLDER, "20261126T170000Z")
    active = stage.client("emr").run_job_flow(**json.loads(document))["JobFlowId"]
    before = clusters(stage)

    failed = run(stage, dag, datetime(2026, 11, 27, 2, 0, tzinfo=SEOUL), max_polls=1)

    assert failed.state == "failed"
    assert states(failed)["terminate_job_flow"] == "success"
    assert clusters(stage).keys() == before.keys()
    (message,) = mailbox()
    assert f"EMR {active} is RUNNING after 2 s" in message
    stage.client("emr").get_waiter("cluster_terminated").wait(ClusterId=active, WaiterConfig={"Delay": 1})
    assert contract.SUCCESS_FILE not in keys_of(stage, "20261126T170000Z")
