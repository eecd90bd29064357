"""The DAG as Airflow sees it: it parses offline, and holds the rules of a job that runs unattended."""

from __future__ import annotations

import socket
import sys
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, BaseOperator, DeadlineReference, TriggerRule
from airflow.serialization.serialized_objects import DagSerialization

from tests.dags.conftest import DAGS, ROOT, parsed

SEOUL = ZoneInfo("Asia/Seoul")
LONGEST_CALL = timedelta(minutes=10)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the DAG calls out while it is parsed")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in [name for name in sys.modules if name.startswith("ncf_preparation")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("no_network")
def test_it_parses_without_a_network_and_without_settings() -> None:
    bundle, bare = parsed(), DagBag(DAGS)

    for bag in (bundle, bare):
        assert bag.import_errors == {}
        assert list(bag.dags) == ["prepare_interactions"]


def test_it_survives_the_way_to_the_scheduler(dag: DAG) -> None:
    restored = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))

    assert restored.task_ids == dag.task_ids


def airflow_stages() -> list[dict[str, Any]]:
    sections = [
        yaml.safe_load(path.read_text())["config"]["ncf:spark"] for path in ROOT.glob("Pulumi.*.yaml")
    ]
    return [section for section in sections if section["scheduler"] == "airflow"]


def test_it_runs_when_the_stages_that_it_launches_say(dag: DAG) -> None:
    assert airflow_stages()
    for spark in airflow_stages():
        minute, hour, *rest = spark["cron"].removeprefix("cron(").removesuffix(")").split()
        assert rest == ["*", "*", "?", "*"]  # every day, in EventBridge's six fields
        assert (dag.timetable.expression, dag.timetable.timezone) == (
            f"{minute} {hour} * * *",
            spark["timezone"],
        )


def test_a_missed_night_is_caught_up_under_its_own_interval_and_none_overtakes_another(dag: DAG) -> None:
    assert dag.catchup is True
    assert dag.max_active_runs == 1
    scheduled = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    first = scheduled.next_dagrun_info(last_automated_run_info=None)
    assert first.data_interval.start == datetime(2026, 11, 23, 2, 0, tzinfo=SEOUL)
    assert first.data_interval.end == first.run_after == datetime(2026, 11, 24, 2, 0, tzinfo=SEOUL)


def test_every_task_is_tried_again_ever_later_and_tells_when_it_gives_up(dag: DAG) -> None:
    for task in dag.tasks:
        assert task.retries >= 2, task.task_id
        assert task.retry_exponential_backoff > 1, task.task_id
        assert task.retry_delay < task.max_retry_delay, task.task_id
        assert [type(each).__name__ for each in task.on_failure_callback] == ["SnsNotifier"], task.task_id


def test_what_takes_long_waits_in_the_triggerer_and_the_rest_is_short(dag: DAG) -> None:
    deferred = {task.task_id for task in dag.tasks if getattr(task, "deferrable", False)}
    assert deferred == {"wait_for_job_flow"}
    for task in dag.tasks:
        if task.task_id not in deferred:
            assert task.execution_timeout <= LONGEST_CALL, task.task_id
    wait = dag.get_task("wait_for_job_flow")
    assert timedelta(seconds=wait.poke_interval * wait.max_attempts) == timedelta(hours=3)


def test_every_call_to_aws_has_a_timeout_and_an_end(dag: DAG) -> None:
    configs = {task.task_id: task.botocore_config for task in dag.tasks if hasattr(task, "botocore_config")}
    assert configs.keys() == {"launch_job_flow", "wait_for_job_flow", "terminate_job_flow"}
    for task_id, config in configs.items():
        assert config["connect_timeout"] <= 10, task_id
        assert config["read_timeout"] <= 60, task_id
        assert config["retries"]["total_max_attempts"] <= 5, task_id
    # A repeated RunJobFlow is a second cluster.
    assert configs["launch_job_flow"]["retries"]["total_max_attempts"] == 1


def test_the_cluster_is_ended_whatever_became_of_the_wait(dag: DAG) -> None:
    launch, terminate = dag.get_task("launch_job_flow"), dag.get_task("terminate_job_flow")
    assert launch.is_setup
    assert terminate.is_teardown
    assert terminate.on_failure_fail_dagrun
    assert terminate.upstream_task_ids == {"launch_job_flow", "wait_for_job_flow"}
    assert terminate.trigger_rule == TriggerRule.ALL_DONE_SETUP_SUCCESS


def test_a_run_that_is_not_there_four_hours_after_its_interval_is_late(dag: DAG) -> None:
    (deadline,) = dag.deadline
    assert deadline.reference is DeadlineReference.DAGRUN_LOGICAL_DATE  # the start of the interval
    assert deadline.interval == timedelta(days=1, hours=4)
    assert deadline.callback.path == "ncf_preparation.alerts.tell_of_late_run"


def test_everything_is_checked_before_a_run_counts(dag: DAG) -> None:
    check: BaseOperator = dag.get_task("check_run")
    assert check.downstream_task_ids == set()
    assert check.trigger_rule == TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS
