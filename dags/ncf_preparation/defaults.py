"""Settings that the DAGs share: time zone, limits of calls to AWS, and defaults of tasks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ncf_preparation import alerts

TIMEZONE = ZoneInfo("Asia/Seoul")
CALL_LIMIT = timedelta(minutes=10)  # for tasks that only call AWS APIs
AWS_CALLS = {
    "connect_timeout": 5,
    "read_timeout": 60,
    "retries": {"mode": "standard", "total_max_attempts": 5},
}


def task_defaults() -> dict[str, Any]:
    """Default arguments of tasks: three retries with exponential backoff, and a notification of failures."""
    return {
        "owner": "recommendation",
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=15),
        "on_failure_callback": alerts.task_failure_notifier(),
    }
