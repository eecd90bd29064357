"""Last log lines of builds, jobs and endpoints of a deployed stage."""

from __future__ import annotations

from typing import Any

from ml.pipeline.report import job_log, last_log_lines

LOG_LINES = 20


def log_lines(logs: Any, group: str, stream_prefix: str) -> list[str]:
    """The last lines of the first log stream with a prefix; none if there is no such log yet."""
    try:
        return last_log_lines(logs, group, stream_prefix, LOG_LINES)
    except logs.exceptions.ResourceNotFoundException:
        return []


def step_log_lines(logs: Any, step: dict[str, Any]) -> list[str]:
    """The last lines of the job of a pipeline step; none for a step without a job."""
    job = job_log(step)
    return log_lines(logs, job[0], f"{job[1]}/") if job else []


def group_log_lines(logs: Any, group: str) -> list[str]:
    """The last lines of every log stream of a group; none if there is no such log yet."""
    try:
        streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    lines = [line for stream in streams for line in log_lines(logs, group, stream["logStreamName"])]
    return lines[-LOG_LINES:]
