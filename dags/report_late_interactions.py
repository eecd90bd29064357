"""## Report a night whose run is late

Four hours after the DAG `prepare_interactions` was due to start, publish a message on the alarm topic of the
stage if the run of that night is not complete. A separate DAG also reports nights without a DAG run.
Airflow 3.0, the newest on Amazon MWAA, has no deadlines for DAG runs.

It uses the Airflow Variables and the connection of `prepare_interactions`. Missed reports are not caught up.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from airflow.exceptions import AirflowFailException
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import DAG, Variable, get_current_context, task
from airflow.timetables.interval import CronDataIntervalTimetable

# A DAG bundle puts its folder on sys.path; a plain DagBag does not.
sys.path.append(str(Path(__file__).parent))

from ncf_preparation import alerts
from ncf_preparation.defaults import AWS_CALLS, CALL_LIMIT, TIMEZONE, task_defaults
from ncf_preparation.run import SUCCESS_FILE, LaunchDocumentError, launch_document, location_of, run_id_of

SCHEDULE = "0 6 * * *"  # `DUE` after the schedule of prepare_interactions (tests/dags)
DUE = timedelta(hours=4)

with DAG(
    dag_id="report_late_interactions",
    description="Report a night whose prepared run is late",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable(SCHEDULE, timezone=TIMEZONE.key),
    start_date=datetime(2026, 11, 23, tzinfo=TIMEZONE),
    catchup=False,
    tags=["ncf"],
    default_args=task_defaults(),
):

    @task(execution_timeout=CALL_LIMIT)
    def report_late_run() -> bool:
        """Publish a message if the night's `_SUCCESS` object is missing; returns whether it is late."""
        context = get_current_context()
        due = context.get("data_interval_end") or context["dag_run"].run_after
        run_id, uri = run_id_of(due - DUE), Variable.get("ncf_run_job_flow_uri")
        s3 = S3Hook(aws_conn_id="aws_default", config=AWS_CALLS)
        published = s3.read_key(urlsplit(uri).path.lstrip("/"), urlsplit(uri).netloc)
        try:
            location = location_of(launch_document(published, run_id), run_id)
        except LaunchDocumentError as error:
            raise AirflowFailException(f"{uri}: {error}") from None
        is_late = not s3.check_for_key(location.key(SUCCESS_FILE), location.bucket)
        if is_late:
            alerts.publish_late_run(run_id, location.uri(SUCCESS_FILE), due)
        return is_late

    report_late_run()
