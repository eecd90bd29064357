"""A night whose run is not complete four hours later is reported on the alarm topic."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.sdk import DAG

from ml import contract
from tests.dags.conftest import AirflowStage, Mailbox, parsed
from tests.dags.runs import recorded_run, states

pytestmark = pytest.mark.usefixtures("metadata_database")
SEOUL = ZoneInfo("Asia/Seoul")


@pytest.fixture
def report() -> DAG:
    return parsed().dags["report_late_interactions"]


def test_report_is_due_four_hours_after_the_night(dag: DAG, report: DAG) -> None:
    night, due = (each.timetable.serialize() for each in (dag, report))
    minute, hour, *rest = night["expression"].split()
    assert due == {**night, "expression": " ".join([minute, str(int(hour) + 4), *rest])}
    assert report.catchup is False


def put_success(stage: AirflowStage, run_id: str) -> None:
    key = contract.run_prefix(run_id) + contract.SUCCESS_FILE
    stage.client("s3").put_object(Bucket=stage.outputs["data_bucket"], Key=key, Body=b"")


@pytest.mark.parametrize("is_complete", [False, True])
def test_only_an_incomplete_night_is_reported(
    stage: AirflowStage, report: Any, mailbox: Mailbox, is_complete: bool
) -> None:
    due = datetime(2026, 11, 28 + is_complete, 6, 0, tzinfo=SEOUL)
    run_id = contract.run_id_of(due - timedelta(hours=4))
    if is_complete:
        put_success(stage, run_id)

    done = recorded_run(stage, report, due)

    assert (done.state, states(done)) == ("success", {"report_late_run": "success"})
    uri = f"s3://{stage.outputs['data_bucket']}/{contract.run_prefix(run_id)}_SUCCESS"
    late = f"prepare_interactions is late: run {run_id} was due by {due.isoformat()}, and {uri} is missing"
    messages = mailbox()
    if is_complete:
        assert messages == []
    else:
        assert [datetime_free(message) for message in messages] == [datetime_free(late)]


def datetime_free(message: str) -> str:
    """The message without its time, whose time zone is Airflow's."""
    start, _, rest = message.partition(" was due by ")
    return f"{start} … {rest.partition(', ')[2]}"
