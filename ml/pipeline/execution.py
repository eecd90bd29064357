"""An execution of the pipeline: started once a run, and followed to its end."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from ml.pipeline.environment import Run, Stage

ENDED = ("Succeeded", "Failed", "Stopped", "CompletedWithFailures")
FIRST_POLL_S, LAST_POLL_S = 0.5, 5.0  # quick after a change, slower while a job runs
POLL_GROWTH = 1.5


class ExecutionTimeoutError(TimeoutError):
    """The execution had not ended when the build's time was up; it goes on without the build."""


@dataclass(frozen=True)
class Ended:
    """How an execution ended: its status, and each step as ``ListPipelineExecutionSteps`` has it."""

    status: str
    reason: str
    steps: dict[str, dict[str, Any]]

    @property
    def failed_step(self) -> dict[str, Any] | None:
        """The first step that failed, or None."""
        failed = [step for step in self.steps.values() if step["StepStatus"] == "Failed"]
        return min(failed, key=lambda step: step["EndTime"].timestamp()) if failed else None


def find_execution(sagemaker: Any, stage: Stage, run: Run) -> str | None:
    """The ARN of the run's execution, or None if it has none yet (or the pipeline does not exist)."""
    pages = sagemaker.get_paginator("list_pipeline_executions").paginate(PipelineName=stage.pipeline_name)
    try:
        for page in pages:
            for summary in page["PipelineExecutionSummaries"]:
                if summary.get("PipelineExecutionDisplayName") == display_name(run):
                    return summary["PipelineExecutionArn"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ResourceNotFound", "ValidationException"):
            raise
    return None


def upsert_pipeline(sagemaker: Any, stage: Stage, definition: dict[str, Any]) -> None:
    """Create the stage's pipeline, or give the one that exists this definition."""
    content = {
        "PipelineName": stage.pipeline_name,
        "PipelineDefinition": json.dumps(definition),
        "RoleArn": stage.pipeline_role_arn,
    }
    tags = [{"Key": key, "Value": value} for key, value in stage.training.tags.items()]
    try:
        sagemaker.create_pipeline(**content, Tags=tags)
    except ClientError as error:
        # CreatePipeline has no error code of its own for a name that is taken.
        if "must be unique" not in str(error) and "already exists" not in str(error):
            raise
        sagemaker.update_pipeline(**content)


def start_execution(sagemaker: Any, stage: Stage, run: Run) -> str:
    """Start the run's execution and return its ARN; a second start returns the first one's."""
    values = parameter_values(stage, run)
    started = sagemaker.start_pipeline_execution(
        PipelineName=stage.pipeline_name,
        PipelineExecutionDisplayName=display_name(run),
        PipelineParameters=[{"Name": name, "Value": value} for name, value in values.items()],
        ClientRequestToken=hashlib.sha256(f"{stage.pipeline_name}/{run.run_id}".encode()).hexdigest(),
    )
    return started["PipelineExecutionArn"]


def parameter_values(stage: Stage, run: Run) -> dict[str, str]:
    """The pipeline's parameters for a run: equal for equal runs, as an idempotent start needs."""
    return {
        "RunId": run.run_id,
        "CodeVersion": run.code_version,
        "DataUri": f"s3://{stage.data_bucket}/{run.data_prefix}".rstrip("/"),
        "SourceUri": f"s3://{stage.artifacts_bucket}/{run.source_prefix}".rstrip("/"),
        "OutputUri": f"s3://{stage.artifacts_bucket}/{run.output_prefix}".rstrip("/"),
    }


def display_name(run: Run) -> str:
    """What an execution is called after: its run."""
    return f"run-{run.run_id}"


def follow(
    sagemaker: Any, arn: str, *, on_change: Callable[[dict[str, Any]], None], timeout_s: float
) -> Ended:
    """Wait for an execution's end, and report each step's change of status on the way.

    Raises:
        ExecutionTimeoutError: it had not ended after ``timeout_s`` seconds.
    """
    deadline = time.monotonic() + timeout_s
    seen: dict[str, str] = {}
    pause_s = FIRST_POLL_S
    while True:
        execution = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        steps = {step["StepName"]: step for step in _steps(sagemaker, arn)}
        for name, step in steps.items():
            if seen.get(name) != step["StepStatus"]:
                seen[name] = step["StepStatus"]
                pause_s = FIRST_POLL_S
                on_change(step)
        status = execution["PipelineExecutionStatus"]
        if status in ENDED:
            return Ended(status=status, reason=execution.get("FailureReason", ""), steps=steps)
        if time.monotonic() + pause_s > deadline:
            raise ExecutionTimeoutError(
                f"{arn}: still {status} after {timeout_s:.0f} s; it goes on by itself"
            )
        time.sleep(pause_s)
        pause_s = min(pause_s * POLL_GROWTH, LAST_POLL_S)


def _steps(sagemaker: Any, arn: str) -> Iterator[dict[str, Any]]:
    pages = sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=arn, SortOrder="Ascending"
    )
    for page in pages:
        yield from page["PipelineExecutionSteps"]
