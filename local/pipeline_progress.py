"""Show the steps of a pipeline execution on the timeline while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from local.errors import StepFailedError
from local.logs import step_log_lines
from local.timeline import Status, Step, Timeline
from ml import contract
from ml.pipeline.execution import ExecutionState, ExecutionTimeoutError, watch_execution
from ml.pipeline.report import rejection_lines

STEP_STATUSES: Mapping[str, Status] = {"Succeeded": "succeeded", "Failed": "failed", "Stopped": "failed"}


class PipelineProgress:
    """The timeline of one execution.

    Args:
        sagemaker: a SageMaker client.
        logs: a CloudWatch Logs client.
        timeline: shows a line per step, with the newest metrics of its job.
    """

    def __init__(self, sagemaker: Any, logs: Any, timeline: Timeline) -> None:
        self._sagemaker = sagemaker
        self._logs = logs
        self._timeline = timeline
        self._shown: dict[str, Step] = {}

    def follow(self, arn: str, *, timeout_s: float, sleep: Callable[[float], object]) -> None:
        """Follow the execution until it has registered a model; ``sleep`` waits between polls.

        Raises:
            StepFailedError: a step failed, the candidate failed the quality gate, or the execution was
                stopped or did not end in time.
        """
        try:
            for state in watch_execution(self._sagemaker, arn, timeout_s=timeout_s, sleep=sleep):
                for step in state.steps.values():
                    self._show(step)
        except ExecutionTimeoutError as error:
            raise StepFailedError("pipeline", str(error)) from None
        if state.status != "Succeeded":
            raise self._failure(state)
        if rejected := state.rejected_step:
            reason = "the candidate failed the quality gate"
            raise StepFailedError(rejected["StepName"], reason, rejection_lines(rejected), rejected=True)

    def _show(self, step: dict[str, Any]) -> None:
        name, status = step["StepName"], STEP_STATUSES.get(step["StepStatus"])
        if name not in self._shown and (status or step["StepStatus"] == "Executing"):
            self._shown[name] = self._timeline.begin(name)
        if name not in self._shown or self._shown[name].status != "running":
            return
        if lines := step_log_lines(self._logs, step):
            self._shown[name].detail = _progress_line(lines)
        if status:
            seconds = (step["EndTime"] - step["StartTime"]).total_seconds()
            rejected = name == contract.STEP_REJECTED and status == "succeeded"
            self._timeline.end(self._shown[name], "rejected" if rejected else status, seconds)

    def _failure(self, state: ExecutionState) -> StepFailedError:
        step = state.failed_step
        if step is None:
            return StepFailedError("pipeline", f"the execution ended {state.status}")
        reason = step.get("FailureReason", "no reason given")
        return StepFailedError(step["StepName"], reason, step_log_lines(self._logs, step))


def _progress_line(lines: list[str]) -> str:
    """The newest line with metrics of the model, with any metrics, or at all, in this order of preference."""
    metrics = [line for line in lines if "HR@10=" in line]
    of_the_model = [line for line in metrics if line.startswith("model")]
    return (of_the_model or metrics or lines)[-1]
