"""Lines that explain why an execution did not succeed, or registered no model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ml import contract
from ml.settings.containers import JOB_LOG_GROUPS

N_LOG_LINES = 20


def failure_lines(logs: Any, step: dict[str, Any]) -> Iterator[str]:
    """The failed step with its reason, then the last log lines of its job, if it has one."""
    yield f"{step['StepName']} failed: {step.get('FailureReason') or 'no reason given'}"
    job = job_log(step)
    if job:
        group, prefix = job
        yield f"the last lines of {group}/{prefix}:"
        try:
            lines = last_log_lines(logs, group, f"{prefix}/", N_LOG_LINES) or ["(no log events)"]
        # A log that cannot be read must not hide the failure that it belongs to.
        except (ClientError, BotoCoreError) as error:
            lines = [f"(cannot be read: {error})"]
        yield from (f"  {line}" for line in lines)


def job_log(step: dict[str, Any]) -> tuple[str, str] | None:
    """Log group and job name of a step, None if it has no job; log streams are named ``<job>/…``."""
    for kind, group in JOB_LOG_GROUPS.items():
        arn = step.get("Metadata", {}).get(kind, {}).get("Arn")
        if arn:
            return group, arn.rsplit("/", 1)[-1]
    return None


def last_log_lines(logs: Any, group: str, stream_prefix: str, limit: int) -> list[str]:
    """The last lines of a log group's first stream with a prefix; none without such a stream.

    Raises:
        ClientError, BotoCoreError: the log cannot be read.
    """
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream_prefix)["logStreams"]
    if not streams:
        return []
    stream = streams[0]["logStreamName"]
    events = logs.get_log_events(logGroupName=group, logStreamName=stream, limit=limit, startFromHead=False)[
        "events"
    ]
    return [event["message"].rstrip() for event in events]


def rejection_lines(step: dict[str, Any]) -> list[str]:
    """Each metric of the quality gate with its thresholds, from the output of NCFRejected."""
    outputs = step.get("Metadata", {}).get("Lambda", {}).get("OutputParameters", [])
    values = {output["Name"]: output["Value"] for output in outputs}
    return values.get(contract.REJECTION_SUMMARY, "").splitlines()
