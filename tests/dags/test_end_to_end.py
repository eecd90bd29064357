"""The DAG, run by Airflow to its end: real triggers, real calls, the real Spark job, an emulator."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from aiobotocore.client import AioBaseClient
from airflow.models import DagRun
from airflow.models.deadline import Deadline
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk.execution_time.callback_supervisor import execute_callback
from airflow.sdk.log import structlog
from airflow.timetables.base import DataInterval
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from botocore.client import BaseClient
from sqlalchemy import select

from ml import contract
from tests.dags.conftest import Stage

pytestmark = pytest.mark.usefixtures("metadata_database")
SEOUL = ZoneInfo("Asia/Seoul")
ACTIONS = {"HeadObject": "s3:GetObject", "ListObjectsV2": "s3:ListBucket"}  # that IAM calls otherwise
N_USERS, N_EVENTS_EACH, N_ITEMS = 30, 8, 40
Mailbox = Callable[[], list[str]]


@pytest.fixture
def mailbox(stage: Stage) -> Iterator[Mailbox]:
    """What the DAG told subscribers to the alarm topic; EMR's own event tells them, too."""
    sqs, topic = stage.client("sqs"), stage.outputs["alarm_topic_arn"]
    url = sqs.create_queue(QueueName="mailbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    stage.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def read() -> list[str]:
        received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
        texts = [json.loads(message["Body"])["Message"] for message in received.get("Messages", [])]
        return [text for text in texts if text.startswith("prepare_interactions")]

    yield read
    sqs.delete_queue(QueueUrl=url)


def good_events() -> str:
    rows = [
        f"u{user},i{(user + 3 * n) % N_ITEMS},{1_700_000_000 + 1000 * n + user}"
        for user in range(N_USERS)
        for n in range(N_EVENTS_EACH)
    ]
    return "\n".join(["user_id,item_id,timestamp", *rows, ""])


def put_raw(stage: Stage, body: str) -> None:
    key = f"{contract.RAW_PREFIX}shop.csv"
    stage.client("s3").put_object(Bucket=stage.outputs["data_bucket"], Key=key, Body=body.encode())


def granted(stage: Stage) -> set[str]:
    """The actions of the role that the stage has for Airflow."""
    iam, role = stage.client("iam"), stage.outputs["airflow_role_arn"].rpartition("/")[2]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    return {action for statement in policy["Statement"] for action in statement["Action"]}


@contextmanager
def calls() -> Iterator[set[str]]:
    """The actions, as IAM names them, that are asked of AWS meanwhile, from tasks and from triggers."""
    made: set[str] = set()

    def told(client: Any, operation: str) -> None:
        service = client.meta.service_model.signing_name
        made.add(ACTIONS.get(operation, f"{service}:{operation}"))

    plain, deferred = BaseClient._make_api_call, AioBaseClient._make_api_call

    def call(self: Any, operation: str, arguments: Any) -> Any:
        told(self, operation)
        return plain(self, operation, arguments)

    async def call_later(self: Any, operation: str, arguments: Any) -> Any:
        told(self, operation)
        return await deferred(self, operation, arguments)

    with (
        patch.object(BaseClient, "_make_api_call", call),
        patch.object(AioBaseClient, "_make_api_call", call_later),
    ):
        yield made


def run(stage: Stage, dag: Any, night: datetime, *, looks: int = 180) -> DagRun:
    """One DAG run, started by hand at a moment in Seoul, which looks at EMR every other second.

    Whatever it asks of AWS, the stage's role for Airflow may do.
    """
    dag.deadline = None  # `DAG.test` of Airflow 3.3 can't end a run that has one (apache/airflow#73428)
    wait = dag.get_task("wait_for_job_flow")
    wait.poke_interval, wait.max_attempts = 2, looks
    with calls() as made:
        dag_run = dag.test(logical_date=night)
    assert made
    assert made - granted(stage) == set()
    return dag_run


def states(dag_run: DagRun) -> dict[str, str]:
    with create_session() as session:
        return {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances(session=session)}


def clusters(stage: Stage) -> dict[str, str]:
    """State by id."""
    listed = stage.client("emr").list_clusters()["Clusters"]
    return {cluster["Id"]: cluster["Status"]["State"] for cluster in listed}


def keys_of(stage: Stage, run_id: str) -> set[str]:
    """The run's objects, by their names in the run."""
    bucket, prefix = stage.outputs["data_bucket"], contract.run_prefix(run_id)
    listed = stage.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
    return {item["Key"].removeprefix(prefix) for item in listed.get("Contents", [])}


def test_a_night_is_prepared_and_checked_and_not_launched_again(
    stage: Stage, dag: Any, mailbox: Mailbox
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


def test_bad_input_fails_the_run_and_tells_why_once(stage: Stage, dag: Any, mailbox: Mailbox) -> None:
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


def test_a_job_flow_at_work_is_followed_and_ended_when_it_takes_too_long(
    stage: Stage, dag: Any, mailbox: Mailbox
) -> None:
    put_raw(stage, good_events())
    key = contract.RUN_JOB_FLOW_KEY
    published = (
        stage.client("s3").get_object(Bucket=stage.outputs["artifacts_bucket"], Key=key)["Body"].read()
    )
    document = published.decode().replace(contract.RUN_ID_PLACEHOLDER, "20261126T170000Z")
    at_work = stage.client("emr").run_job_flow(**json.loads(document))["JobFlowId"]
    before = clusters(stage)

    failed = run(stage, dag, datetime(2026, 11, 27, 2, 0, tzinfo=SEOUL), looks=1)

    assert failed.state == "failed"
    assert states(failed)["terminate_job_flow"] == "success"
    assert clusters(stage).keys() == before.keys()
    (message,) = mailbox()
    assert f"EMR {at_work} is RUNNING after 2 s" in message
    stage.client("emr").get_waiter("cluster_terminated").wait(ClusterId=at_work, WaiterConfig={"Delay": 1})
    assert contract.SUCCESS_FILE not in keys_of(stage, "20261126T170000Z")


def test_a_run_that_is_late_is_told(dag: Any, mailbox: Mailbox) -> None:
    start = datetime(2026, 11, 28, 2, 0, tzinfo=SEOUL)
    with create_session() as session:
        created = SerializedDagModel.get_dag(dag.dag_id, session=session).create_dagrun(
            run_id="late",
            logical_date=start,
            data_interval=DataInterval(start, start + timedelta(days=1)),
            run_after=start + timedelta(days=1),
            run_type=DagRunType.SCHEDULED,
            triggered_by=DagRunTriggeredByType.TIMETABLE,
            state="running",
            session=session,
        )
        session.flush()
        deadline = session.scalars(select(Deadline).where(Deadline.dagrun_id == created.id)).one()
        assert deadline.deadline_time == datetime(2026, 11, 29, 6, 0, tzinfo=SEOUL)
        deadline.handle_miss(session)  # what the scheduler does then
        data = dict(deadline.callback.data)

    done = execute_callback(  # what the executor does with it
        data["path"], data["kwargs"], "prepare_interactions.py", None, structlog.get_logger()
    )

    assert done == (True, None)
    (message,) = mailbox()
    assert message.startswith("prepare_interactions is late: late was due by 2026-11-28")
