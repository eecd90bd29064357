"""## Prepare the shop's interactions every night

Launches the Spark job of one stage on a transient EMR cluster, from the RunJobFlow document that the stage
published, and ends well only when the prepared run is whole. What trains and serves follows by events.

| Airflow Variable | what it is | stack output |
| --- | --- | --- |
| `ncf_run_job_flow_uri` | S3 URI of the document | `run_job_flow_uri` |
| `ncf_alarm_topic_arn` | SNS topic that is told of failures and of late runs | `alarm_topic_arn` |

Like every Variable they may come from a secrets backend, or from the environment as `AIRFLOW_VAR_<NAME>`.
Calls to AWS use the connection `aws_default`. The stack has a role for it, its output `airflow_role_arn`,
which the workers' own role may assume:
`{"conn_type": "aws", "extra": {"role_arn": "<the output>", "region_name": "<the stage's>"}}` in
`AIRFLOW_CONN_AWS_DEFAULT`. Without a connection, calls are made as the workers themselves, in their region.

A run is named by the end of its data interval: a night that was missed is caught up under its own name, and
a run that is already whole is checked but not launched again. To prepare a night once more, delete its
`_SUCCESS` and clear the DAG run. A failed cluster is not launched again by itself: clear `wait_for_job_flow`,
which also clears its set-up.

Every night since `FIRST_DAY` counts as missed: set it before the DAG is first shipped, or each costs its
cluster.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.emr import EmrTerminateJobFlowOperator
from airflow.sdk import (
    DAG,
    CronDataIntervalTimetable,
    DeadlineAlert,
    DeadlineReference,
    SyncCallback,
    TriggerRule,
    Variable,
    get_current_context,
    task,
)
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError

# A bundle of DAGs puts its folder on sys.path; whoever parses this one file (a bare DagBag) may not.
sys.path.append(str(Path(__file__).parent))

from ncf_preparation import alerts
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

SCHEDULE = "0 2 * * *"  # `ncf:spark.cron` of the stages that Airflow launches; tests/dags hold them equal
TIMEZONE = ZoneInfo("Asia/Seoul")
FIRST_DAY = datetime(2026, 11, 23, tzinfo=TIMEZONE)
DUE = timedelta(days=1, hours=4)  # after the start of the interval: four hours after the interval has ended
POLL_S = 60
LONGEST_JOB_FLOW = timedelta(hours=3)
CALL_LIMIT = timedelta(minutes=10)  # of tasks that only ask AWS
AWS_CALLS = {
    "connect_timeout": 5,
    "read_timeout": 60,
    "retries": {"mode": "standard", "total_max_attempts": 5},
}
# RunJobFlow is not idempotent: botocore must not repeat it, the task's next try looks before it launches.
AWS_LAUNCH = {**AWS_CALLS, "retries": {"total_max_attempts": 1}}

with DAG(
    dag_id="prepare_interactions",
    description="Prepares the shop's interactions on a transient EMR cluster",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable(SCHEDULE, timezone=TIMEZONE.key),
    start_date=FIRST_DAY,
    catchup=True,
    max_active_runs=1,
    tags=["ncf"],
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
        interval=DUE,
        callback=SyncCallback(alerts.tell_of_late_run),
    ),
    default_args={
        "owner": "recommendation",
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=15),
        "on_failure_callback": alerts.task_failed(),
    },
) as dag:

    @task(multiple_outputs=True, execution_timeout=CALL_LIMIT)
    def read_launch_document() -> dict[str, Any]:
        """The parameters of RunJobFlow for this run, and where it will lie."""
        context = get_current_context()
        # A run started by hand may have no data interval; then the moment for which it was asked names it.
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
        """A run that is whole is not prepared again."""
        whole = s3().check_for_key(Location(bucket, prefix).key(SUCCESS_FILE), bucket)
        return "check_run" if whole else "launch_job_flow"

    @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS, execution_timeout=CALL_LIMIT)
    def check_run(bucket: str, prefix: str) -> dict[str, Any]:
        """The run's counts, once `_SUCCESS` is there and the manifest agrees with the bucket."""
        run, client = Location(bucket, prefix), s3().conn
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        sizes = {
            item["Key"].removeprefix(prefix): item["Size"]
            for page in pages
            for item in page.get("Contents", [])
        }
        if SUCCESS_FILE not in sizes:
            raise AirflowFailException(
                f"{run.uri(SUCCESS_FILE)}: missing, though no step failed: did somebody end the job flow?"
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
        """S3 by the connection of this DAG."""
        return S3Hook(aws_conn_id="aws_default", config=AWS_CALLS)

    plan = read_launch_document()
    run_lies_at = {"bucket": plan["bucket"], "prefix": plan["prefix"]}
    launch = LaunchJobFlowOnceOperator(
        task_id="launch_job_flow",
        job_flow_overrides=plan["document"],
        emr_conn_id=None,  # the document is whole
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
    # The cluster ends by itself after its step; this ends it when nobody waits for it any more. It doesn't
    # defer: the provider's waiter would take a cluster that had failed before for a failed termination.
    terminate = EmrTerminateJobFlowOperator(
        task_id="terminate_job_flow",
        job_flow_id=launch.output,
        botocore_config=AWS_CALLS,
        execution_timeout=CALL_LIMIT,
    ).as_teardown(setups=launch, on_failure_fail_dagrun=True)

    check = check_run(**run_lies_at)
    choose(**run_lies_at) >> [launch, check]
    launch >> wait >> [check, terminate]
