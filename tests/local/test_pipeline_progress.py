"""Steps of an execution on the timeline, and the errors of executions that do not succeed."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from local.errors import StepFailedError
from local.pipeline_progress import PipelineProgress
from local.timeline import Timeline
from ml import contract
from tests.ml.pipeline.fake_pipelines import BEGIN, FakePipelines, rejected, step

JOB_ARN = "arn:aws:sagemaker:ap-northeast-2:123456789012:training-job/job-1"


class NotFoundError(Exception):
    pass


class FakeTrainingLogs:
    """CloudWatch Logs with the lines of one training job, or without its log group."""

    exceptions = SimpleNamespace(ResourceNotFoundException=NotFoundError)

    def __init__(self, lines: list[str] | None) -> None:
        self._lines = lines

    def describe_log_streams(self, **request: Any) -> dict[str, Any]:
        if self._lines is None:
            raise NotFoundError
        assert request == {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamNamePrefix": "job-1/"}
        return {"logStreams": [{"logStreamName": "job-1/algo-1"}]}

    def get_log_events(self, **_request: Any) -> dict[str, Any]:
        return {"events": [{"message": line} for line in self._lines or ()]}


def ended(name: str, status: str, minute: int, **more: Any) -> dict[str, Any]:
    return {**step(name, status, minute, **more), "StartTime": BEGIN}


def follow(polls: list[tuple[str, list[dict[str, Any]]]], lines: list[str] | None = None) -> Timeline:
    pipelines, timeline = FakePipelines(), Timeline(Console(file=io.StringIO()))
    pipelines.polls = polls
    progress = PipelineProgress(pipelines, FakeTrainingLogs(lines), timeline)
    progress.follow("arn", timeout_s=60, sleep=lambda _: None)
    return timeline


def test_each_step_is_shown_with_its_duration_and_its_newest_metrics() -> None:
    timeline = follow(
        [
            ("Executing", [step("Waiting", "Starting")]),
            ("Executing", [step("A", "Executing", TrainingJob=JOB_ARN)]),
            ("Succeeded", [ended("A", "Succeeded", 2, TrainingJob=JOB_ARN), ended("B", "Succeeded", 3)]),
        ],
        ["model HR@10=0.6;", "popularity HR@10=0.4;", "saved"],
    )
    assert timeline.as_json() == [
        {"step": "A", "seconds": 120.0, "status": "succeeded"},
        {"step": "B", "seconds": 180.0, "status": "succeeded"},
    ]
    assert timeline.steps[0].detail == "model HR@10=0.6;"


def test_failed_step_is_raised_with_its_reason_and_log() -> None:
    broken = ended("A", "Failed", 2, reason="exit 1", TrainingJob=JOB_ARN)
    with pytest.raises(StepFailedError) as failure:
        follow([("Failed", [broken])], ["no validation data"])
    assert (failure.value.step, failure.value.reason) == ("A", "exit 1")
    assert failure.value.log_lines == ["no validation data"]
    assert not failure.value.rejected


def test_step_without_a_log_group_is_raised_without_lines() -> None:
    with pytest.raises(StepFailedError) as failure:
        follow([("Failed", [ended("A", "Failed", 2, TrainingJob=JOB_ARN)])])
    assert (failure.value.reason, failure.value.log_lines) == ("no reason given", [])


def test_rejected_candidate_is_marked_as_rejected() -> None:
    with pytest.raises(StepFailedError) as failure:
        follow([("Succeeded", [{**rejected("hr_at_10 0.2, floor 0.3: FAILED"), "StartTime": BEGIN}])])
    assert failure.value.rejected
    assert failure.value.log_lines == ["hr_at_10 0.2, floor 0.3: FAILED"]


def test_failed_report_of_a_rejected_candidate_is_a_failure() -> None:
    with pytest.raises(StepFailedError) as failure:
        follow([("Failed", [ended(contract.STEP_REJECTED, "Failed", 2, reason="no topic")])])
    assert (failure.value.reason, failure.value.rejected) == ("no topic", False)


def test_stopped_execution_is_a_failure_of_the_pipeline() -> None:
    with pytest.raises(StepFailedError, match="pipeline failed: the execution ended Stopped"):
        follow([("Stopped", [ended("A", "Succeeded", 2)])])
