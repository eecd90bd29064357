"""Fake of SageMaker pipelines that keeps state.

moto starts executions but neither runs nor lists their steps. Here a test sets the states that successive
polls of an execution return.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from ml import contract

BEGIN = datetime(2026, 11, 23, 3, tzinfo=UTC)


def step(name: str, status: str, minute: int = 0, reason: str = "", **metadata: str) -> dict[str, Any]:
    """A step as ListPipelineExecutionSteps returns it; metadata is ``TrainingJob="arn..."``."""
    found: dict[str, Any] = {
        "StepName": name,
        "StepStatus": status,
        "Metadata": {kind: {"Arn": arn} for kind, arn in metadata.items()},
    }
    if status in ("Succeeded", "Failed"):
        found["EndTime"] = BEGIN + timedelta(minutes=minute)
    if reason:
        found["FailureReason"] = reason
    return found


def rejected(summary: str) -> dict[str, Any]:
    """NCFRejected as ListPipelineExecutionSteps returns it, with its output."""
    found = step(contract.STEP_REJECTED, "Succeeded", 2)
    outputs = [{"Name": contract.REJECTION_SUMMARY, "Value": summary}]
    return {**found, "Metadata": {"Lambda": {"Arn": "arn", "OutputParameters": outputs}}}


class FakePipelines:
    """Pipelines and executions.

    Attributes:
        polls: (status, steps) of successive polls; the last one repeats.
        reason: failure reason of the execution.
        refusal: error code and message of every create_pipeline.
    """

    def __init__(self) -> None:
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.executions: list[dict[str, Any]] = []
        self.polls: list[tuple[str, list[dict[str, Any]]]] = []
        self.reason = ""
        self.refusal: tuple[str, str] | None = None

    def create_pipeline(self, **request: Any) -> None:
        taken = ("ValidationException", "Pipeline names must be unique within an AWS account and region.")
        error = taken if request["PipelineName"] in self.pipelines else self.refusal
        if error:
            raise ClientError({"Error": {"Code": error[0], "Message": error[1]}}, "CreatePipeline")
        self.pipelines[request["PipelineName"]] = request

    def update_pipeline(self, **request: Any) -> None:
        self.pipelines[request["PipelineName"]] |= request

    def start_pipeline_execution(self, **request: Any) -> dict[str, Any]:
        for execution in self.executions:
            if execution["ClientRequestToken"] == request["ClientRequestToken"]:
                return execution
        arn = (
            f"arn:aws:sagemaker:ap-northeast-2:123456789012:pipeline/ncf-dev/execution/{len(self.executions)}"
        )
        started = {"PipelineExecutionArn": arn, "PipelineExecutionStatus": "Executing"}
        self.executions.append({**request, **started})
        return self.executions[-1]

    def describe_pipeline_execution(self, *, PipelineExecutionArn: str) -> dict[str, Any]:  # noqa: N803
        status, _ = self.polls[0]
        for execution in self.executions:
            if execution["PipelineExecutionArn"] == PipelineExecutionArn:
                execution["PipelineExecutionStatus"] = status
        reason = {"FailureReason": self.reason} if self.reason else {}
        return {"PipelineExecutionArn": PipelineExecutionArn, "PipelineExecutionStatus": status} | reason

    def get_paginator(self, operation: str) -> _Pages:
        return _Pages(self, operation)

    def pages(self, operation: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if operation == "list_pipeline_executions":
            if request["PipelineName"] not in self.pipelines:
                raise ClientError({"Error": {"Code": "ResourceNotFound", "Message": "no"}}, operation)
            assert (request["SortBy"], request["SortOrder"]) == ("CreationTime", "Descending")
            for execution in reversed(self.executions):  # one per page
                yield {"PipelineExecutionSummaries": [execution]}
        else:
            _, steps = self.polls[0] if len(self.polls) == 1 else self.polls.pop(0)
            for each in steps:
                yield {"PipelineExecutionSteps": [each]}


class _Pages:
    def __init__(self, owner: FakePipelines, operation: str) -> None:
        self._owner, self._operation = owner, operation

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        return self._owner.pages(self._operation, request)
