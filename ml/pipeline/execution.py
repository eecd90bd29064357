"""Executions of the pipeline: one per run, and another one after an execution that failed or was stopped."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from ml import contract
from ml.pipeline.environment import PipelineStage, Run

ENDED = ("Succeeded", "Failed", "Stopped", "CompletedWithFailures")
REPEATABLE = ("Failed", "Stopped", "CompletedWithFailures")  # a run may be started again after these
FIRST_POLL_S, LAST_POLL_S = 0.5, 5.0  # interval after a change, and its maximum while a job runs
POLL_GROWTH = 1.5
MISSING_PIPELINE = ("ResourceNotFound", "ResourceNotFoundException", "ValidationException")  # error codes


class ExecutionTimeoutError(TimeoutError):
    """The execution had not ended within the time limit; it continues."""


@dataclass(frozen=True)
class ExecutionState:
    """State of an execution at one poll; steps are items of ``ListPipelineExecutionSteps``."""

    status: str
    reason: str  # why it failed; empty unless it did
    steps: dict[str, dict[str, Any]]  # by name
    changed: list[dict[str, Any]]  # steps whose status differs from the previous poll

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def failed_step(self) -> dict[str, Any] | None:
        """The first step that failed, or None."""
        failed = [step for step in self.steps.values() if step["StepStatus"] == "Failed"]
        return min(failed, key=lambda step: step["EndTime"].timestamp()) if failed else None

    @property
    def rejected_step(self) -> dict[str, Any] | None:
        """NCFRejected if the candidate failed the quality gate, or None."""
        step = self.steps.get(contract.STEP_REJECTED)
        return step if step and step["StepStatus"] == "Succeeded" else None


@dataclass(frozen=True)
class RunExecutions:
    """The executions of one run.

    Attributes:
        newest_arn, newest_status: of the newest execution; None without one.
        n_failed: executions that failed or were stopped.
    """

    newest_arn: str | None = None
    newest_status: str | None = None
    n_failed: int = 0

    @property
    def current_arn(self) -> str | None:
        """The newest execution if it is in progress or has succeeded: the run must not be started again."""
        return None if self.newest_status in (*REPEATABLE, "Stopping") else self.newest_arn


def find_executions(sagemaker: Any, pipeline_name: str, run_id: str) -> RunExecutions:
    """The executions of a run; none if the pipeline does not exist."""
    pages = sagemaker.get_paginator("list_pipeline_executions").paginate(
        PipelineName=pipeline_name, SortBy="CreationTime", SortOrder="Descending"
    )
    try:
        found = [
            summary
            for page in pages
            for summary in page["PipelineExecutionSummaries"]
            if summary.get("PipelineExecutionDisplayName") == display_name(run_id)
        ]
    except ClientError as error:
        if error.response["Error"]["Code"] not in MISSING_PIPELINE:
            raise
        return RunExecutions()
    if not found:
        return RunExecutions()
    return RunExecutions(
        newest_arn=found[0]["PipelineExecutionArn"],
        newest_status=found[0]["PipelineExecutionStatus"],
        n_failed=sum(each["PipelineExecutionStatus"] in REPEATABLE for each in found),
    )


def upsert_pipeline(sagemaker: Any, stage: PipelineStage, definition: dict[str, Any]) -> None:
    """Create the stage's pipeline, or update its definition."""
    content = {
        "PipelineName": stage.pipeline_name,
        "PipelineDefinition": json.dumps(definition),
        "RoleArn": stage.pipeline_role_arn,
    }
    tags = [{"Key": key, "Value": value} for key, value in stage.training.tags.items()]
    try:
        sagemaker.create_pipeline(**content, Tags=tags)
    except ClientError as error:
        # CreatePipeline has no specific error code for a name that is taken.
        if "must be unique" not in str(error) and "already exists" not in str(error):
            raise
        sagemaker.update_pipeline(**content)


def start_execution(sagemaker: Any, stage: PipelineStage, run: Run, *, n_failed: int = 0) -> str:
    """Start an execution of the run and return its ARN.

    Idempotent by pipeline, run and ``n_failed``, the number of executions of the run that failed or were
    stopped: builds that start the run at the same time get one execution, and a repeat after a failure gets
    another one.
    """
    values = parameter_values(stage, run)
    token = f"{stage.pipeline_name}/{run.run_id}/{n_failed}"
    started = sagemaker.start_pipeline_execution(
        PipelineName=stage.pipeline_name,
        PipelineExecutionDisplayName=display_name(run.run_id),
        PipelineParameters=[{"Name": name, "Value": value} for name, value in values.items()],
        ClientRequestToken=hashlib.sha256(token.encode()).hexdigest(),
    )
    return started["PipelineExecutionArn"]


def parameter_values(stage: PipelineStage, run: Run) -> dict[str, str]:
    """Parameter values of a run; equal for equal runs, as an idempotent start requires."""
    return {
        "RunId": run.run_id,
        "CodeVersion": run.code_version,
        "DataUri": f"s3://{stage.data_bucket}/{run.data_prefix}".rstrip("/"),
        "SourceUri": f"s3://{stage.artifacts_bucket}/{run.source_prefix}".rstrip("/"),
        "OutputUri": f"s3://{stage.artifacts_bucket}/{run.output_prefix}".rstrip("/"),
    }


def display_name(run_id: str) -> str:
    """Display name of a run's executions."""
    return f"run-{run_id}"


def watch_execution(
    sagemaker: Any, arn: str, *, timeout_s: float, sleep: Callable[[float], object] = time.sleep
) -> Iterator[ExecutionState]:
    """Poll an execution and yield its state at each poll; the last state has ended.

    Args:
        sagemaker: a SageMaker client.
        arn: the execution.
        timeout_s: time limit, from the first poll.
        sleep: waits between polls; the interval grows while no step changes.

    Raises:
        ExecutionTimeoutError: it had not ended after ``timeout_s`` seconds.
    """
    deadline = time.monotonic() + timeout_s
    known: dict[str, str] = {}
    pause_s = 0.0
    while True:
        execution = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        steps = {step["StepName"]: step for step in _steps(sagemaker, arn)}
        changed = [step for name, step in steps.items() if known.get(name) != step["StepStatus"]]
        known = {name: step["StepStatus"] for name, step in steps.items()}
        status = execution["PipelineExecutionStatus"]
        state = ExecutionState(status, execution.get("FailureReason", ""), steps, changed)
        yield state
        if state.has_ended:
            return
        pause_s = FIRST_POLL_S if changed else min(max(pause_s * POLL_GROWTH, FIRST_POLL_S), LAST_POLL_S)
        if time.monotonic() + pause_s > deadline:
            raise ExecutionTimeoutError(f"{arn}: still {status} after {timeout_s:.0f} s; it continues")
        sleep(pause_s)


def _steps(sagemaker: Any, arn: str) -> Iterator[dict[str, Any]]:
    pages = sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=arn, SortOrder="Ascending"
    )
    for page in pages:
        yield from page["PipelineExecutionSteps"]
