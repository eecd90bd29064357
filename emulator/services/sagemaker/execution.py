"""One execution of a pipeline: which step runs when, and what became of it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from emulator.services.sagemaker.definition import Step
from emulator.services.sagemaker.expressions import ExpressionError, resolve
from emulator.services.sagemaker.jobs import JobBook
from emulator.services.sagemaker.scope import ExecutionScope, Started, StepRun
from emulator.services.sagemaker.site import MAX_FAILURE_REASON, Site, iso, now
from emulator.services.sagemaker.steps import EXECUTORS, StepContext, StepFailedError, StepStoppedError

DEFAULT_PARALLEL_STEPS = 50  # API reference, MaxParallelExecutionSteps
STEPS_FAILED = "Step failure: One or multiple steps failed."
_LOWER = {"TrainingJob": "trainingJob", "ProcessingJob": "processingJob", "RegisterModel": "registerModel"}


class Execution:
    """One execution, from its start to its end, on a thread of its own.

    Attributes:
        record: moto's execution; it holds the status.
        steps: the steps that have started, in the order in which they did.
    """

    def __init__(self, site: Site, started: Started, jobs: tuple[JobBook, JobBook]) -> None:
        self.site = site
        self.pipeline = started.pipeline
        self.record = started.record
        self.definition = started.definition
        self.steps: dict[str, StepRun] = {}
        self.done = threading.Event()
        self._scope = ExecutionScope(site, started, self.steps)
        self._training, self._processing = jobs
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._finished: queue.SimpleQueue[StepRun] = queue.SimpleQueue()
        limit = self.record.parallelism_configuration or {}
        self._parallel = limit.get("MaxParallelExecutionSteps", DEFAULT_PARALLEL_STEPS)

    @property
    def id(self) -> str:
        """The execution's id: the end of its ARN."""
        return self.record.arn.rpartition("/")[2]

    def start(self) -> None:
        """Begins; returns at once."""
        self._set_status("Executing")
        self.site.background(f"pipeline execution {self.id}", self._run)

    def stop(self) -> None:
        """Starts no further step and stops the running ones."""
        if self.done.is_set() or self._stopping.is_set():
            return
        self._stopping.set()
        self._set_status("Stopping")
        for run in list(self.steps.values()):
            if run.end is None:
                self._stop_step(run)

    # -- which step runs when -------------------------------------------------------------------
    def _run(self) -> None:
        running = 0
        while True:
            for step in self._ready()[: self._parallel - running]:
                run = StepRun(step, now())
                self.steps[step.name] = run
                self._announce_step(run, previous=None)
                self.site.background(f"step {step.name}", partial(self._run_step, run))
                running += 1
            if not running:
                break
            self._finished.get()
            running -= 1
        self._end()

    def _ready(self) -> list[Step]:
        """The steps that may start now; none once a step has failed or the execution is stopping."""
        if self._stopping.is_set() or any(run.status in ("Failed", "Stopped") for run in self.steps.values()):
            return []
        return [step for step in self.definition.steps.values() if self._is_ready(step)]

    def _is_ready(self, step: Step) -> bool:
        if step.name in self.steps:
            return False
        runs = [self.steps.get(name) for name in step.depends_on]
        if any(run is None or run.status != "Succeeded" for run in runs):
            return False
        if step.branch is None:
            return True
        condition, outcome = step.branch
        return self.steps[condition].properties["Outcome"] == str(outcome).lower()

    def _end(self) -> None:
        if self._stopping.is_set():
            status = "Stopped"
        elif any(run.status != "Succeeded" for run in self.steps.values()):
            status = "Failed"
            self.record.pipeline_execution_failure_reason = STEPS_FAILED
        else:
            status = "Succeeded"
        self._set_status(status)
        self.done.set()

    # -- one step -------------------------------------------------------------------------------
    def _run_step(self, run: StepRun) -> None:
        try:
            run.properties = self._attempts(run)
            self._set_step(run, "Succeeded")
        except StepStoppedError:
            self._set_step(run, "Stopped")
        except StepFailedError as failure:
            self._set_step(run, "Failed", str(failure))
        except Exception as error:
            self.site.report(f"step {run.step.name}")
            reason = f"InternalServerError: the emulator: {type(error).__name__}: {error}"
            self._set_step(run, "Failed", reason)
        finally:
            self._finished.put(run)

    def _attempts(self, run: StepRun) -> Mapping[str, Any]:
        started = time.monotonic()
        while True:
            run.attempts += 1
            try:
                return self._attempt(run)
            except StepFailedError as failure:
                policy = _policy_for(run.step, failure.kind)
                delay = _delay_s(policy, run.attempts, time.monotonic() - started) if policy else None
                if delay is None or self._stopping.wait(delay):
                    raise

    def _attempt(self, run: StepRun) -> Mapping[str, Any]:
        run.context = StepContext(
            self.site, run.step, self.id, self.record.arn, self._training, self._processing, metadata={}
        )
        try:
            arguments = resolve(run.step.arguments, self._scope)
        except ExpressionError as error:
            raise StepFailedError(f"ClientError: {error}") from error
        if run.status == "Starting":
            self._set_step(run, "Executing")
        if self._stopping.is_set():
            raise StepStoppedError
        return EXECUTORS[run.step.type](run.context, arguments)

    def _stop_step(self, run: StepRun) -> None:
        stop = run.context.on_stop if run.context else None
        self._set_step(run, "Stopping")
        if stop is not None:
            self.site.background(f"stop step {run.step.name}", stop)

    # -- what is told about it ------------------------------------------------------------------
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
            "pipelineArn": self.pipeline.arn,
            "pipelineExecutionArn": self.record.arn,
        }
        self._emit("SageMaker Model Building Pipeline Execution Status Change", detail)

    def _set_step(self, run: StepRun, status: str, reason: str | None = None) -> None:
        with self._lock:
            if run.end is not None:  # it ended while it was told to stop
                return
            previous, run.status = run.status, status
            if status in ("Succeeded", "Failed", "Stopped"):
                run.end = now()
            run.reason = (reason or "")[:MAX_FAILURE_REASON] or None
        self._announce_step(run, previous)

    def _announce_step(self, run: StepRun, previous: str | None) -> None:
        metadata = {
            _LOWER.get(kind, kind.lower()): {key[0].lower() + key[1:]: value for key, value in fields.items()}
            for kind, fields in run.metadata.items()
        }
        detail = {
            "metadata": metadata,
            "stepName": run.step.name,
            "stepType": run.step.type,
            "stepStartTime": iso(run.start),
            "stepEndTime": iso(run.end) if run.end else None,
            "previousStepStatus": previous,
            "currentStepStatus": run.status,
            "failureReason": run.reason,
            "pipelineArn": self.pipeline.arn,
            "pipelineExecutionArn": self.record.arn,
        }
        self._emit("SageMaker Model Building Pipeline Execution Step Status Change", detail)

    def _emit(self, detail_type: str, detail: dict[str, Any]) -> None:
        self.site.emit(detail_type, detail, [self.pipeline.arn, self.record.arn])


def _policy_for(step: Step, kind: str | None) -> Mapping[str, Any] | None:
    policies = step.raw.get("RetryPolicies", [])
    return next((policy for policy in policies if kind in policy["ExceptionType"]), None)


def _delay_s(policy: Mapping[str, Any], attempts: int, elapsed_s: float) -> float | None:
    """How long to wait before the next attempt; None when the policy allows no more."""
    if attempts > policy.get("MaxAttempts", attempts):
        return None
    if elapsed_s > 60 * policy.get("ExpireAfterMin", elapsed_s):
        return None
    return policy.get("IntervalSeconds", 1) * policy.get("BackoffRate", 2.0) ** (attempts - 1)
