"""Who is told: the stage's alarm topic, of tasks that failed and of runs that are late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.amazon.aws.hooks.sns import SnsHook
from airflow.providers.amazon.aws.notifications.sns import SnsNotifier
from airflow.sdk import Variable

TOPIC_VARIABLE = "ncf_alarm_topic_arn"
MAX_SUBJECT = 99  # SNS API, Publish: fewer than 100 characters


def task_failed() -> SnsNotifier:
    """Tells of a task that failed for good, and why. Templates: each notifier renders them but once."""
    return SnsNotifier(
        target_arn=f"{{{{ var.value.{TOPIC_VARIABLE} }}}}",
        subject=f"{{{{ ('Failed: ' ~ dag.dag_id ~ '.' ~ ti.task_id)[:{MAX_SUBJECT}] }}}}",
        message=(
            "{{ dag.dag_id }}.{{ ti.task_id }} failed in {{ run_id }} (try {{ ti.try_number }}): "
            "{{ exception }}\n{{ ti.log_url }}"
        ),
    )


def tell_of_late_run(context: Mapping[str, Any], **_: Any) -> None:
    """On a missed deadline; Airflow runs it on the executor, with the run and the deadline in ``context``."""
    run, due = context["dag_run"], context["deadline"]["deadline_time"]
    SnsHook(aws_conn_id="aws_default").publish_to_target(
        target_arn=Variable.get(TOPIC_VARIABLE),
        subject=f"Late: {run['dag_id']}"[:MAX_SUBJECT],
        message=f"{run['dag_id']} is late: {run['dag_run_id']} was due by {due} and is {run['state']}",
    )
