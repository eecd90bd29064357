"""A run that misses its deadline is reported on the alarm topic."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.models.deadline import Deadline
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk.execution_time.callback_supervisor import execute_callback
from airflow.sdk.log import structlog
from airflow.timetables.base import DataInterval
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select

from tests.dags.conftest import Mailbox

pytestmark = pytest.mark.usefixtures("metadata_database")
SEOUL = ZoneInfo("Asia/Seoul")


def test_missed_deadline_is_notified(dag: Any, mailbox: Mailbox) -> None:
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
        deadline.handle_miss(session)  # as the scheduler does
        data = dict(deadline.callback.data)

    done = execute_callback(  # as the executor does
        data["path"], data["kwargs"], "prepare_interactions.py", None, structlog.get_logger()
    )

    assert done == (True, None)
    (message,) = mailbox()
    assert message.startswith("prepare_interactions is late: late was due by 2026-11-28")
