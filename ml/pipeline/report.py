"""What a person needs to know of an execution that did not succeed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ml.pipeline.environment import Run, Stage
from ml.pipeline.settings import GATED_METRICS

N_LOG_LINES = 20
_JOB_LOG_GROUPS = {
    "TrainingJob": "/aws/sagemaker/TrainingJobs",
    "ProcessingJob": "/aws/sagemaker/ProcessingJobs",
}


def failure_lines(logs: Any, step: dict[str, Any]) -> Iterator[str]:
    """The failed step with its reason, then the last lines that its job logged, if it is a job."""
    yield f"{step['StepName']} failed: {step.get('FailureReason') or 'no reason given'}"
    for kind, group in _JOB_LOG_GROUPS.items():
        arn = step.get("Metadata", {}).get(kind, {}).get("Arn")
        if arn:
            job = arn.rsplit("/", 1)[-1]
            yield f"the last lines of {group}/{job}:"
            yield from (f"  {line}" for line in _last_lines(logs, group, job))


def rejection_lines(s3: Any, stage: Stage, run: Run) -> Iterator[str]:
    """Each threshold of the gate with what the candidate reached, and which of them it lost."""
    where = f"s3://{stage.artifacts_bucket}/{run.evaluation_key}"
    yield f"run {run.run_id} lost the quality gate; its report is {where}"
    report = json.loads(s3.get_object(Bucket=stage.artifacts_bucket, Key=run.evaluation_key)["Body"].read())
    for metric in GATED_METRICS:
        floor, tolerance = getattr(stage.training.floors, metric), getattr(stage.training.tolerance, metric)
        reached, change = report["model"][metric], report["change"][metric]
        yield f"  {metric} {reached:.4f}, floor {floor:.4f}: {_verdict(reached >= floor)}"
        yield f"  {metric} change {change:+.4f}, tolerance {tolerance:.4f}: {_verdict(change >= -tolerance)}"


def _verdict(passed: bool) -> str:
    return "passed" if passed else "LOST"


def _last_lines(logs: Any, group: str, job: str) -> list[str]:
    # A log that cannot be read must not hide the failure that it belongs to.
    try:
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
        if not streams:
            return ["(it logged nothing)"]
        events = logs.get_log_events(
            logGroupName=group,
            logStreamName=streams[0]["logStreamName"],
            limit=N_LOG_LINES,
            startFromHead=False,
        )["events"]
    except (ClientError, BotoCoreError) as error:
        return [f"(cannot be read: {error})"]
    return [event["message"].rstrip() for event in events] or ["(it logged nothing)"]
