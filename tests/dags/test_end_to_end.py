"""The DAG, run by Airflow to its end: real triggers, real calls, the real Spark job, in the embedded cloud."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.models import DagRun
from airflow.sdk.execution_time.callback_supervisor import execute_callback
from airflow.utils.session import create_session
from sqlalchemy import select

from ml import contract
from tests.dags.conftest import Stage

pytestmark = pytest.mark.usefixtures("metadata_database")
SEOUL = ZoneInfo("Asia/Seoul")
N_USERS, N_EVENTS_EACH = 30, 8


@pytest.fixture(autouse=True)
def polls_often(dag: Any) -> None:
    dag.get_task("wait_for_job_flow").poke_interval = 2


@pytest.fixture
def mailbox(stage: Stage) -> Any:
    """Messages to the alarm topic, as an SQS subscriber gets them."""
    sqs, topic = stage.client("sqs"), stage.outputs["alarm_topic_arn"]
    url = sqs.create_queue(QueueName="mailbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    stage.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def read() -> list[dict[str, Any]]:
        received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
        return [json.loads(message["Body"]) for message in received.get("Messages", [])]

    yield read
    sqs.delete_queue(QueueUrl=url)


def put_raw(stage: Stage, body: str) -> None:
    stage.client("s3").put_object(
        Bucket=stage.outputs["data_bucket"], Key=f"{contract.RAW_PREFIX}shop.csv", Body=body.encode()
    )


def good_events() -> str:
    rows = [
        f"u{user},i{(user + 3 * n) % 40},{1_700_000_000 + 1000 * n + user}"
        for user in range(N_USERS)
        for n in range(N_EVENTS_EACH)
    ]
    return "\n".join(["user_id,item_id,timestamp", *rows, ""])


def run(dag: Any, night: datetime) -> DagRun:
    """One DAG run, started in the interval that ``night`` ends in."""
    return dag.test(logical_date=night)


def states(dag_run: DagRun) -> dict[str, str]:
    with create_session() as session:
        return {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances(session=session)}


def clusters(stage: Stage) -> list[dict[str, Any]]:
    return stage.client("emr").list_clusters()["Clusters"]


def test_a_night_is_prepared_and_checked_and_not_launched_again(stage: Stage, dag: Any) -> None:
    put_raw(stage, good_events())
    night, before = datetime(2026, 11, 25, 2, 0, tzinfo=SEOUL), len(clusters(stage))

    first = run(dag, night)

    assert (first.state, states(first)) == (
        "success",
        dict.fromkeys(dag.task_ids, "success"),
    )
    prefix = contract.run_prefix("20261124T170000Z")  # the end of the interval, in UTC
    listed = stage.client("s3").list_objects_v2(Bucket=stage.outputs["data_bucket"], Prefix=prefix)
    names = {item["Key"].removeprefix(prefix) for item in listed["Contents"]}
    assert {contract.SUCCESS_FILE, contract.MANIFEST_FILE, contract.USERS_FILE} <= names
    launched = clusters(stage)[before:]
    assert [cluster["Status"]["State"] for cluster in launched] == ["TERMINATED"]

    again = run(dag, night + timedelta(minutes=1))  # by hand, in the same interval

    assert again.state == "success"
    assert states(again) == {
        "read_launch_document": "success",
        "choose": "success",
        "launch_job_flow": "skipped",
        "wait_for_job_flow": "skipped",
        "terminate_job_flow": "skipped",
        "check_run": "success",
    }
    assert len(clusters(stage)) == before + 1
