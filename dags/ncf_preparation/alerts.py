"""Notifications on the alarm topic of the stage: failed tasks and late runs."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.amazon.aws.hooks.sns import SnsHook
from airflow.providers.amazon.aws.notifications.sns import SnsNotifier
from airflow.sdk import Variable

TOPIC_VARIABLE = "ncf_alarm_topic_arn"
PREPARATION = "prepare_interactions"  # DAG that prepares the runs
MAX_SUBJECT = 99  # SNS API, Publish: fewer than 100 characters


def task_failure_notifier() -> SnsNotifier:
    """Notifier for a task whose retries are exhausted. A notifier renders its templates only once."""
    return SnsNotifier(
        target_arn=f"{{{{ var.value.{TOPIC_VARIABLE} }}}}",
        subject=f"{{{{ ('Failed: ' ~ dag.dag_id ~ '.' ~ ti.task_id)[:{MAX_SUBJECT}] }}}}",
        message=(
            "{{ dag.dag_id }}.{{ ti.task_id }} failed in {{ run_id }} (try {{ ti.try_number }}): "
            "{{ exception }}\n{{ ti.log_url }}"
        ),
    )


def publish_late_run(run_id: str, success_uri: str, due: datetime) -> None:
    """Publish that the run of a night is not complete at the time that it was due."""
    SnsHook(aws_conn_id="aws_default").publish_to_target(
        target_arn=Variable.get(TOPIC_VARIABLE),
        subject=f"Late: {PREPARATION}"[:MAX_SUBJECT],
        message=(
            f"{PREPARATION} is late: run {run_id} was due by {due.isoformat()}, and {success_uri} is missing"
        ),
    )
