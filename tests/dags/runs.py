"""Run the DAG with Airflow against the emulator, and read the results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest.mock import patch

from aiobotocore.client import AioBaseClient
from airflow.exceptions import AirflowException
from airflow.models import DagRun
from airflow.sdk.definitions import dag as sdk_dag
from airflow.sdk.execution_time import task_runner
from airflow.triggers.base import TriggerEvent
from airflow.utils.session import create_session
from botocore.client import BaseClient

from ml import contract
from tests.dags.conftest import AirflowStage

ACTIONS = {
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
}  # IAM actions that are not named like their API operation
N_USERS, N_EVENTS_EACH, N_ITEMS = 30, 8, 40


def good_events() -> str:
    rows = [
        f"u{user},i{(user + 3 * n) % N_ITEMS},{1_700_000_000 + 1000 * n + user}"
        for user in range(N_USERS)
        for n in range(N_EVENTS_EACH)
    ]
    return "\n".join(["user_id,item_id,timestamp", *rows, ""])


def put_raw(stage: AirflowStage, body: str) -> None:
    key = f"{contract.RAW_PREFIX}shop.csv"
    stage.client("s3").put_object(Bucket=stage.outputs["data_bucket"], Key=key, Body=body.encode())


def granted(stage: AirflowStage) -> set[str]:
    """IAM actions that the stage's Airflow role allows."""
    iam, role = stage.client("iam"), stage.outputs["airflow_role_arn"].rpartition("/")[2]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    return {action for statement in policy["Statement"] for action in statement["Action"]}


@contextmanager
def calls() -> Iterator[set[str]]:
    """Record the IAM actions of the AWS calls of tasks and triggers."""
    made: set[str] = set()

    def record(client: Any, operation: str) -> None:
        service = client.meta.service_model.signing_name
        made.add(ACTIONS.get(operation, f"{service}:{operation}"))

    plain, deferred = BaseClient._make_api_call, AioBaseClient._make_api_call

    def call(self: Any, operation: str, arguments: Any) -> Any:
        record(self, operation)
        return plain(self, operation, arguments)

    async def call_deferred(self: Any, operation: str, arguments: Any) -> Any:
        record(self, operation)
        return await deferred(self, operation, arguments)

    with (
        patch.object(BaseClient, "_make_api_call", call),
        patch.object(AioBaseClient, "_make_api_call", call_deferred),
    ):
        yield made


@contextmanager
def failed_triggers_as_events() -> Iterator[None]:
    """Resume a task whose trigger fails, as the triggerer does; `DAG.test` of Airflow 3.0 ends it instead."""
    run_trigger = sdk_dag._run_inline_trigger

    def run(trigger: Any) -> TriggerEvent | None:
        try:
            return run_trigger(trigger)
        except AirflowException as error:
            return TriggerEvent({"status": "error", "message": str(error)})

    with patch.object(sdk_dag, "_run_inline_trigger", run):
        yield


@contextmanager
def exceptions_in_callbacks() -> Iterator[None]:
    """Pass a task's exception to its callbacks, as a worker does; `DAG.test` of Airflow 3.0 does not."""
    finalize = task_runner.finalize

    def finalize_with_exception(ti: Any, state: Any, context: Any, log: Any, error: Any = None) -> None:
        context["exception"] = error
        finalize(ti, state, context, log, error)

    with patch.object(task_runner, "finalize", finalize_with_exception):
        yield


def run(stage: AirflowStage, dag: Any, night: datetime, *, max_polls: int = 180) -> DagRun:
    """Run the DAG for a logical date, polling EMR every two seconds, at most ``max_polls`` times."""
    wait = dag.get_task("wait_for_job_flow")
    wait.poke_interval, wait.max_attempts = 2, max_polls
    return recorded_run(stage, dag, night)


def recorded_run(stage: AirflowStage, dag: Any, night: datetime) -> DagRun:
    """Run a DAG for a logical date. Asserts that the stage's Airflow role allows every AWS call."""
    with failed_triggers_as_events(), exceptions_in_callbacks(), calls() as made:
        dag_run = dag.test(logical_date=night)
    assert made
    assert made - granted(stage) == set()
    return dag_run


def states(dag_run: DagRun) -> dict[str, str]:
    with create_session() as session:
        return {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances(session=session)}


def clusters(stage: AirflowStage) -> dict[str, str]:
    """State of each cluster, by id."""
    listed = stage.client("emr").list_clusters()["Clusters"]
    return {cluster["Id"]: cluster["Status"]["State"] for cluster in listed}


def keys_of(stage: AirflowStage, run_id: str) -> set[str]:
    """Names of the objects of a run, relative to its prefix."""
    bucket, prefix = stage.outputs["data_bucket"], contract.run_prefix(run_id)
    listed = stage.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
    return {item["Key"].removeprefix(prefix) for item in listed.get("Contents", [])}
