"""Execution of a pipeline: runs its steps in dependency order."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from emulator.services.sagemaker.background import log_exception, run_in_background
from emulator.services.sagemaker.errors import MAX_FAILURE_REASON
from emulator.services.sagemaker.events import EventPublisher
from emulator.services.sagemaker.jobs.base import Jobs
from emulator.services.sagemaker.pipelines.definition import PipelineStep
from emulator.services.sagemaker.pipelines.expressions import PipelineExpressionError, resolve
from emulator.services.sagemaker.pipelines.retries import retry_delay_s
from emulator.services.sagemaker.pipelines.scope import ExecutionInput, ExecutionScope, StepExecution
from emulator.services.sagemaker.pipelines.steps import (
    EXECUTORS,
    PipelineStepError,
    StepContext,
    StepStoppedError,
)
from emulator.services.sagemaker.times import iso, now

DEFAULT_PARALLEL_STEPS = 50  # API reference, MaxParallelExecutionSteps
STEPS_FAILED = "Step failure: One or multiple steps failed."
EXECUTION_EVENT = "SageMaker Model Building Pipeline Execution Status Change"
STEP_EVENT = "SageMaker Model Building Pipeline Execution Step Status Change"
# Keys of a step's metadata in events; the others are the key of the API in lower case.
METADATA_KEYS = {
    "TrainingJob": "trainingJob",
    "ProcessingJob": "processingJob",
    "RegisterModel": "registerModel",
}


class Execution:
    """One execution of a pipeline; runs on background threads.

    Attributes:
        record: moto's execution; it contains the status.
        steps: steps that have started, in the order of their start.
        done: set when the execution has ended.
    """

    def __init__(
        self, execution_input: ExecutionInput, events: EventPublisher, training: Jobs, processing: Jobs
    ) -> None:
        self.pipeline = execution_input.pipeline
        self.record = execution_input.record
        self.definition = execution_input.definition
        self.steps: dict[str, StepExecution] = {}
        self.done = threading.Event()
        self._events = events
        self._region = events.region
        self._scope = ExecutionScope(self._region, execution_input, self.steps)
        self._training, self._processing = training, processing
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._ended_steps: queue.SimpleQueue[StepExecution] = queue.SimpleQueue()
        parallelism = self.record.parallelism_configuration or {}
        self._max_parallel = parallelism.get("MaxParallelExecutionSteps", DEFAULT_PARALLEL_STEPS)

    @property
    def id(self) -> str:
        """Execution id: the end of the ARN."""
        return self.record.arn.rpartition("/")[2]

    def start(self) -> None:
        """Start the execution in the background."""
        self._set_status("Executing")
        self._in_background(f"pipeline execution {self.id}", self._run)

    def stop(self) -> None:
        """Stop the running steps and start no more."""
        if self.done.is_set() or self._stopping.is_set():
            return
        self._stopping.set()
        self._set_status("Stopping")
        for step in list(self.steps.values()):
            if step.end is None:
                self._stop_step(step)

    # -- order of the steps ---------------------------------------------------------------------
    def _run(self) -> None:
        n_running = 0
        while True:
            for step in self._ready_steps()[: self._max_parallel - n_running]:
                execution = StepExecution(step, now())
                self.steps[step.name] = execution
                self._publish_step(execution, previous=None)
                self._in_background(f"step {step.name}", partial(self._run_step, execution))
                n_running += 1
            if not n_running:
                break
            self._ended_steps.get()
            n_running -= 1
        self._end()

    def _ready_steps(self) -> list[PipelineStep]:
        """Steps that can start now; none after a failed step or when the execution is stopping."""
        if self._stopping.is_set() or any(s.status in ("Failed", "Stopped") for s in self.steps.values()):
            return []
        return [step for step in self.definition.steps.values() if self._is_ready(step)]

    def _is_ready(self, step: PipelineStep) -> bool:
        if step.name in self.steps:
            return False
        dependencies = [self.steps.get(name) for name in step.depends_on]
        if any(each is None or each.status != "Succeeded" for each in dependencies):
            return False
        if step.branch is None:
            return True
        condition, outcome = step.branch
        return self.steps[condition].properties["Outcome"] == str(outcome).lower()

    def _end(self) -> None:
        if self._stopping.is_set():
            status = "Stopped"
        elif any(step.status != "Succeeded" for step in self.steps.values()):
            status = "Failed"
            self.record.pipeline_execution_failure_reason = STEPS_FAILED
        else:
            status = "Succeeded"
        self._set_status(status)
        self.done.set()

    # -- one step -------------------------------------------------------------------------------
    def _run_step(self, execution: StepExecution) -> None:
        try:
            execution.properties = self._run_attempts(execution)
            self._set_step_status(execution, "Succeeded")
        except StepStoppedError:
            self._set_step_status(execution, "Stopped")
        except PipelineStepError as failure:
            self._set_step_status(execution, "Failed", str(failure))
        except Exception as error:
            log_exception(self._region.host, f"step {execution.step.name}")
            reason = f"InternalServerError: the emulator: {type(error).__name__}: {error}"
            self._set_step_status(execution, "Failed", reason)
        finally:
            self._ended_steps.put(execution)

    def _run_attempts(self, execution: StepExecution) -> Mapping[str, Any]:
        started = time.monotonic()
        while True:
            execution.attempts += 1
            try:
                return self._run_attempt(execution)
            except PipelineStepError as failure:
                elapsed_s = time.monotonic() - started
                delay_s = retry_delay_s(execution, failure.exception_type, elapsed_s)
                if delay_s is None or self._stopping.wait(delay_s):
                    raise

    def _run_attempt(self, execution: StepExecution) -> Mapping[str, Any]:
        step = execution.step
        execution.context = StepContext(
            self._region,
            step,
            self.id,
            self.record.arn,
            self.pipeline.role_arn,
            self._training,
            self._processing,
            metadata={},
        )
        try:
            arguments = resolve(step.arguments, self._scope)
        except PipelineExpressionError as error:
            raise PipelineStepError(f"ClientError: {error}") from error
        if execution.status == "Starting":
            self._set_step_status(execution, "Executing")
        if self._stopping.is_set():
            raise StepStoppedError
        return EXECUTORS[step.type](execution.context, arguments)

    def _stop_step(self, execution: StepExecution) -> None:
        stop = execution.context.on_stop if execution.context else None
        self._set_step_status(execution, "Stopping")
        if stop is not None:
            self._in_background(f"stop step {execution.step.name}", stop)

    def _in_background(self, name: str, work: Callable[[], None]) -> None:
        run_in_background(self._region.host, name, work)

    # -- status and events ----------------------------------------------------------------------
    def _set_status(self, status: str) -> None:
        previous = None if status == "Executing" else self.record.pipeline_execution_status
        self.record.pipeline_execution_status = status
        self.record.last_modified_time = now()
        detail = {
            "pipelineExecutionDisplayName": self.record.pipeline_execution_display_name,
            "pipelineExecutionDescription": self.record.pipeline_execution_description,
            "currentPipelineExecutionStatus": status,
            "previousPipelineExecutionStatus": previous,
            "executionStartTime": iso(self.record.start_time),
            "executionEndTime": iso(now()) if status in ("Succeeded", "Failed", "Stopped") else None,
        }
        self._publish(EXECUTION_EVENT, detail)

    def _set_step_status(self, execution: StepExecution, status: str, reason: str | None = None) -> None:
        with self._lock:
            if execution.end is not None:  # it ended while it was being stopped
                return
            previous, execution.status = execution.status, status
            if status in ("Succeeded", "Failed", "Stopped"):
                execution.end = now()
            execution.reason = (reason or "")[:MAX_FAILURE_REASON] or None
        self._publish_step(execution, previous)

    def _publish_step(self, execution: StepExecution, previous: str | None) -> None:
        metadata = {
            METADATA_KEYS.get(key, key.lower()): {
                name[0].lower() + name[1:]: value for name, value in fields.items()
            }
            for key, fields in execution.metadata.items()
        }
        detail = {
            "metadata": metadata,
            "stepName": execution.step.name,
            "stepType": execution.step.type,
            "stepStartTime": iso(execution.start),
            "stepEndTime": iso(execution.end) if execution.end else None,
            "previousStepStatus": previous,
            "currentStepStatus": execution.status,
            "failureReason": execution.reason,
        }
        self._publish(STEP_EVENT, detail)

    def _publish(self, detail_type: str, detail: dict[str, Any]) -> None:
        arns = {"pipelineArn": self.pipeline.arn, "pipelineExecutionArn": self.record.arn}
        self._events.publish(detail_type, {**detail, **arns}, list(arns.values()))
