"""The parsed DAG: offline parsing, schedule, retries, timeouts and notifications."""

from __future__ import annotations

import socket
import sys
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from airflow.models.dagbag import DagBag
from airflow.sdk import DAG, BaseOperator
from airflow.serialization.serialized_objects import SerializedDAG
from airflow.utils.trigger_rule import TriggerRule

from tests.dags.conftest import DAGS, ROOT, parsed

SEOUL = ZoneInfo("Asia/Seoul")
LONGEST_CALL = timedelta(minutes=10)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the DAG opens a connection while it is parsed")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in [name for name in sys.modules if name.startswith("ncf_preparation")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("no_network")
def test_dag_parses_without_network_and_variables() -> None:
    bundle, bare = parsed(), DagBag(DAGS)

    for bag in (bundle, bare):
        assert bag.import_errors == {}
        assert sorted(bag.dags) == ["prepare_interactions", "report_late_interactions"]


def test_dag_survives_serialization(dag: DAG) -> None:
    restored = SerializedDAG.deserialize_dag(SerializedDAG.serialize_dag(dag))

    assert restored.task_ids == dag.task_ids


def airflow_stages() -> list[dict[str, Any]]:
    sections = [
        yaml.safe_load(path.read_text())["config"]["ncf:spark"] for path in ROOT.glob("Pulumi.*.yaml")
    ]
    return [section for section in sections if section["scheduler"] == "airflow"]


def test_schedule_equals_the_cron_of_the_airflow_stages(dag: DAG) -> None:
    assert airflow_stages()
    for spark in airflow_stages():
        minute, hour, *rest = spark["cron"].removeprefix("cron(").removesuffix(")").split()
        assert rest == ["*", "*", "?", "*"]  # every day, in EventBridge's six fields
        assert dag.timetable.serialize() == {
            "expression": f"{minute} {hour} * * *",
            "timezone": spark["timezone"],
        }


def test_missed_nights_are_caught_up_one_at_a_time(dag: DAG) -> None:
    assert dag.catchup is True
    assert dag.max_active_runs == 1
    scheduled = SerializedDAG.deserialize_dag(SerializedDAG.serialize_dag(dag))
    first = scheduled.next_dagrun_info(None)
    assert first.data_interval.start == datetime(2026, 11, 23, 2, 0, tzinfo=SEOUL)
    assert first.data_interval.end == first.run_after == datetime(2026, 11, 24, 2, 0, tzinfo=SEOUL)


def test_every_task_has_retries_with_backoff_and_a_failure_notification(dag: DAG) -> None:
    for task in dag.tasks:
        assert task.retries >= 2, task.task_id
        assert task.retry_exponential_backoff is True, task.task_id
        assert task.retry_delay < task.max_retry_delay, task.task_id
        assert [type(each).__name__ for each in task.on_failure_callback] == ["SnsNotifier"], task.task_id


def test_only_the_wait_is_deferred_and_other_tasks_have_short_timeouts(dag: DAG) -> None:
    deferred = {task.task_id for task in dag.tasks if getattr(task, "deferrable", False)}
    assert deferred == {"wait_for_job_flow"}
    for task in dag.tasks:
        if task.task_id not in deferred:
            assert task.execution_timeout <= LONGEST_CALL, task.task_id
    wait = dag.get_task("wait_for_job_flow")
    assert timedelta(seconds=wait.poke_interval * wait.max_attempts) == timedelta(hours=3)


def test_aws_calls_have_timeouts_and_a_retry_limit(dag: DAG) -> None:
    configs = {task.task_id: task.botocore_config for task in dag.tasks if hasattr(task, "botocore_config")}
    assert configs.keys() == {"launch_job_flow", "wait_for_job_flow", "terminate_job_flow"}
    for task_id, config in configs.items():
        assert config["connect_timeout"] <= 10, task_id
        assert config["read_timeout"] <= 60, task_id
        assert config["retries"]["total_max_attempts"] <= 5, task_id
    # A retried RunJobFlow would launch a second cluster.
    assert configs["launch_job_flow"]["retries"]["total_max_attempts"] == 1


def test_cluster_is_terminated_after_a_failed_wait(dag: DAG) -> None:
    launch, terminate = dag.get_task("launch_job_flow"), dag.get_task("terminate_job_flow")
    assert launch.is_setup
    assert terminate.is_teardown
    assert terminate.on_failure_fail_dagrun
    assert terminate.upstream_task_ids == {"launch_job_flow", "wait_for_job_flow"}
    assert terminate.trigger_rule == TriggerRule.ALL_DONE_SETUP_SUCCESS


def test_check_run_is_the_last_task(dag: DAG) -> None:
    check: BaseOperator = dag.get_task("check_run")
    assert check.downstream_task_ids == set()
    assert check.trigger_rule == TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS
