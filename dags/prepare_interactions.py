"""## Prepare the interactions of the previous day every night

Launches the Spark job of one stage on a transient EMR cluster, from the RunJobFlow document that the stage
published, and succeeds when the prepared run is complete and valid. S3 events start training and deployment.

| Airflow Variable | Value | Stack output |
| --- | --- | --- |
| `ncf_run_job_flow_uri` | S3 URI of the RunJobFlow document | `run_job_flow_uri` |
| `ncf_alarm_topic_arn` | SNS topic for failures and late runs | `alarm_topic_arn` |

Variables may come from a secrets backend, or from the environment as `AIRFLOW_VAR_<NAME>`. AWS calls use
the connection `aws_default`. The stack has a role for it, the output `airflow_role_arn`, which the role of
the workers may assume. Set `AIRFLOW_CONN_AWS_DEFAULT` to `{"conn_type": "aws", "extra": {"role_arn":
"<airflow_role_arn>", "region_name": "<region of the stage>"}}`. Without a connection, calls use the
credentials and the region of the workers.

The run id is the end of the data interval: a missed night is caught up under its own run id, and a complete
run is validated but not launched again. To prepare a night again, delete its `_SUCCESS` object and clear
the DAG run. A failed cluster is not launched again automatically: clear `wait_for_job_flow`, which also
clears its setup task.

Events after the interval reach the model with the next run. Until then a request of the API may carry them:
`recent_items` of `POST /recommendations` gives new users personal recommendations, without training.

The DAG `report_late_interactions` publishes a message if the run of a night is not complete four hours later.

Every night since `FIRST_DAY` is caught up: set it before the first deployment of the DAG, since each missed
night launches a cluster.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.emr import EmrTerminateJobFlowOperator
from airflow.sdk import DAG, Variable, get_current_context, task
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.utils.trigger_rule import TriggerRule
from botocore.exceptions import ClientError

# A DAG bundle puts its folder on sys.path; a plain DagBag does not.
sys.path.append(str(Path(__file__).parent))

from ncf_preparation.defaults import AWS_CALLS, CALL_LIMIT, TIMEZONE, task_defaults
from ncf_preparation.emr import JobFlowSensor, LaunchJobFlowOnceOperator
from ncf_preparation.run import (
    MANIFEST_FILE,
    SUCCESS_FILE,
    LaunchDocumentError,
    Location,
    PreparedRunError,
    checked_counts,
    launch_document,
    location_of,
    run_id_of,
)

SCHEDULE = "0 2 * * *"  # equals `ncf:spark.cron` of the stages with scheduler: airflow (tests/dags)
FIRST_DAY = datetime(2026, 11, 23, tzinfo=TIMEZONE)
POLL_S = 60
LONGEST_JOB_FLOW = timedelta(hours=3)
# RunJobFlow is not idempotent: botocore must not retry it. A retry of the task looks for a job flow first.
AWS_LAUNCH = {**AWS_CALLS, "retries": {"total_max_attempts": 1}}

with DAG(
    dag_id="prepare_interactions",
    description="Prepare interactions on a transient EMR cluster",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable(SCHEDULE, timezone=TIMEZONE.key),
    start_date=FIRST_DAY,
    catchup=True,
    max_active_runs=1,
    tags=["ncf"],
    default_args=task_defaults(),
) as dag:

    @task(multiple_outputs=True, execution_timeout=CALL_LIMIT)
    def read_launch_document() -> dict[str, Any]:
        """The parameters of RunJobFlow for this run, and the location of its output."""
        context = get_current_context()
        # A manual run may have no data interval: its run id is the time it was requested for.
        run_id = run_id_of(context.get("data_interval_end") or context["dag_run"].run_after)
        uri = Variable.get("ncf_run_job_flow_uri")
        try:
            published = s3().read_key(urlsplit(uri).path.lstrip("/"), urlsplit(uri).netloc)
            document = launch_document(published, run_id)
            location = location_of(document, run_id)
        except LaunchDocumentError as error:
            raise AirflowFailException(f"{uri}: {error}") from None
        except ClientError as error:
            raise AirflowException(f"{uri}: {error}") from error
        return {"document": document, "bucket": location.bucket, "prefix": location.prefix}

    @task.branch(execution_timeout=CALL_LIMIT)
    def choose(bucket: str, prefix: str) -> str:
        """Skip the preparation if the run is already complete."""
        is_complete = s3().check_for_key(Location(bucket, prefix).key(SUCCESS_FILE), bucket)
        return "check_run" if is_complete else "launch_job_flow"

    @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS, execution_timeout=CALL_LIMIT)
    def check_run(bucket: str, prefix: str) -> dict[str, Any]:
        """Validate the manifest against the objects in the bucket; returns the counts of the run."""
        run, client = Location(bucket, prefix), s3().conn
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        sizes = {
            item["Key"].removeprefix(prefix): item["Size"]
            for page in pages
            for item in page.get("Contents", [])
        }
        if SUCCESS_FILE not in sizes:
            raise AirflowFailException(
                f"{run.uri(SUCCESS_FILE)}: missing, although no step failed; "
                "the job flow may have been terminated manually"
            )
        try:
            manifest = json.load(client.get_object(Bucket=bucket, Key=run.key(MANIFEST_FILE))["Body"])
            counts = checked_counts(manifest, sizes)
        except client.exceptions.NoSuchKey:
            raise AirflowFailException(f"{run.uri(MANIFEST_FILE)}: missing") from None
        except (json.JSONDecodeError, PreparedRunError) as error:
            raise AirflowFailException(f"{run.uri(MANIFEST_FILE)}: {error}") from None
        return counts

    def s3() -> S3Hook:
        """S3 with the connection of this DAG."""
        return S3Hook(aws_conn_id="aws_default", config=AWS_CALLS)

    plan = read_launch_document()
    run_location = {"bucket": plan["bucket"], "prefix": plan["prefix"]}
    launch = LaunchJobFlowOnceOperator(
        task_id="launch_job_flow",
        job_flow_overrides=plan["document"],
        emr_conn_id=None,  # the document has all parameters
        botocore_config=AWS_LAUNCH,
        execution_timeout=CALL_LIMIT,
    )
    wait = JobFlowSensor(
        task_id="wait_for_job_flow",
        job_flow_id=launch.output,
        deferrable=True,
        poke_interval=POLL_S,
        max_attempts=LONGEST_JOB_FLOW // timedelta(seconds=POLL_S),
        botocore_config=AWS_CALLS,
    )
    # The cluster terminates after its step; this task terminates it when the wait has failed or timed out.
    # It is not deferrable: the waiter of the provider treats a cluster that failed earlier as a failed
    # termination.
    terminate = EmrTerminateJobFlowOperator(
        task_id="terminate_job_flow",
        job_flow_id=launch.output,
        botocore_config=AWS_CALLS,
        execution_timeout=CALL_LIMIT,
    ).as_teardown(setups=launch, on_failure_fail_dagrun=True)

    check = check_run(**run_location)
    choose(**run_location) >> [launch, check]
    launch >> wait >> [check, terminate]
