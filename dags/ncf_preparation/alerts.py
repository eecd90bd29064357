"""Notifications on the alarm topic of the stage: failed tasks and late runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.amazon.aws.hooks.sns import SnsHook
from airflow.providers.amazon.aws.notifications.sns import SnsNotifier
from airflow.sdk import Variable

TOPIC_VARIABLE = "ncf_alarm_topic_arn"
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


def notify_late_run(context: Mapping[str, Any], **_: Any) -> None:
    """Callback of a missed deadline; ``context`` has the DAG run and the deadline."""
    run, due = context["dag_run"], context["deadline"]["deadline_time"]
    SnsHook(aws_conn_id="aws_default").publish_to_target(
        target_arn=Variable.get(TOPIC_VARIABLE),
        subject=f"Late: {run['dag_id']}"[:MAX_SUBJECT],
        message=f"{run['dag_id']} is late: {run['dag_run_id']} was due by {due} and is {run['state']}",
    )
