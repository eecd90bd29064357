"""The pipeline operations: moto keeps the pipelines, an `Execution` runs each start of one."""

from __future__ import annotations

import threading
from typing import Any

from emulator.services.sagemaker.definition import Definition, DefinitionError
from emulator.services.sagemaker.execution import Execution
from emulator.services.sagemaker.jobs import JobBook
from emulator.services.sagemaker.scope import Started
from emulator.services.sagemaker.site import Site, epoch_s, invalid, not_emulated, now
from emulator.services.sagemaker.storage import Storage, StorageError, join_uri
from emulator.wire import Operation, Request, Response, ServiceError

MAX_PAGE = 100  # API reference, MaxResults
START_FIELDS = {
    "PipelineName",
    "PipelineExecutionDisplayName",
    "PipelineParameters",
    "PipelineExecutionDescription",
    "ClientRequestToken",
    "ParallelismConfiguration",
}


class Pipelines:
    """The pipelines of one region."""

    def __init__(self, site: Site, training: JobBook, processing: JobBook) -> None:
        self.site = site
        self._jobs = (training, processing)
        self._lock = threading.Lock()
        self._executions: dict[str, Execution] = {}
        self._started: dict[tuple[str, str], str] = {}  # (pipeline, client request token) -> execution

    def operations(self) -> dict[str, Operation]:
        """Handlers by operation name."""
        return {
            "CreatePipeline": self.create,
            "UpdatePipeline": self.update,
            "DescribePipeline": self.known_only,
            "DeletePipeline": self.known_only,
            "StartPipelineExecution": self.start,
            "StopPipelineExecution": self.stop,
            "DescribePipelineExecution": self.describe_execution,
            "ListPipelineExecutions": self.list_executions,
            "ListPipelineExecutionSteps": self.list_steps,
            "RetryPipelineExecution": self.refuse,
            "UpdatePipelineExecution": self.refuse,
        }

    # -- pipelines ------------------------------------------------------------------------------
    def create(self, request: Request) -> Response:
        """moto keeps it, once its definition is known to run here."""
        text = self._checked_definition(request.json)
        response = self.site.forward(request)
        if response.status == 200:
            self._pipeline(request.json["PipelineName"]).pipeline_definition = text
        return response

    def update(self, request: Request) -> Response:
        """The same for a new definition."""
        pipeline = self._pipeline(request.json["PipelineName"])
        text = pipeline.pipeline_definition
        if {"PipelineDefinition", "PipelineDefinitionS3Location"} & set(request.json):
            text = self._checked_definition(request.json)
        response = self.site.forward(request)
        pipeline.pipeline_definition = text
        pipeline.last_modified_time = now()
        return response

    def known_only(self, request: Request) -> Response:
        """moto's answer about a pipeline; the service's error for one that does not exist."""
        self._pipeline(request.json["PipelineName"])
        return self.site.forward(request)

    def refuse(self, request: Request) -> Response:
        """Operations that would have to pretend."""
        raise not_emulated(request.operation)

    def _checked_definition(self, spec: dict[str, Any]) -> str:
        """The definition in a request or in the object that it names; moto keeps the latter as no text."""
        text = spec.get("PipelineDefinition", "")
        try:
            if location := spec.get("PipelineDefinitionS3Location"):
                uri = join_uri(f"s3://{location['Bucket']}", location["ObjectKey"])
                text = Storage(self.site.client("s3")).read_text(uri)
            Definition.parse(text)
        except (DefinitionError, StorageError) as error:
            raise invalid(f"Unable to parse pipeline definition. {error}") from error
        return text

    def _pipeline(self, name_or_arn: str) -> Any:
        name = name_or_arn.rpartition("/")[2]
        pipeline = self.site.backend.pipelines.get(name)
        if pipeline is None:
            raise ServiceError(
                "ResourceNotFound", f"Pipeline '{self.site.arn('pipeline', name)}' does not exist."
            )
        return pipeline

    # -- executions -----------------------------------------------------------------------------
    def start(self, request: Request) -> dict[str, Any]:
        """Starts an execution; the same ClientRequestToken again gives the same execution."""
        spec = request.json
        if unknown := sorted(set(spec) - START_FIELDS):
            raise not_emulated(f"StartPipelineExecution with {', '.join(unknown)}")
        pipeline = self._pipeline(spec["PipelineName"])
        token = (pipeline.pipeline_name, spec.get("ClientRequestToken", ""))
        with self._lock:
            if arn := self._started.get(token):
                return {"PipelineExecutionArn": arn}
            execution = self._make(pipeline, spec)
            self._executions[execution.record.arn] = execution
            if token[1]:
                self._started[token] = execution.record.arn
        execution.start()
        return {"PipelineExecutionArn": execution.record.arn}

    def _make(self, pipeline: Any, spec: dict[str, Any]) -> Execution:
        given = {item["Name"]: item["Value"] for item in spec.get("PipelineParameters", [])}
        try:
            definition = Definition.parse(pipeline.pipeline_definition)
            values = definition.values(given)
        except DefinitionError as error:
            raise invalid(f"Unable to start the pipeline: {error}") from error
        arn = self.site.backend.start_pipeline_execution(
            pipeline_name=pipeline.pipeline_name,
            pipeline_execution_display_name=spec.get("PipelineExecutionDisplayName")
            or f"execution-{int(epoch_s(now()) * 1000)}",
            pipeline_parameters=spec.get("PipelineParameters", []),
            pipeline_execution_description=spec.get("PipelineExecutionDescription"),
            parallelism_configuration=spec.get("ParallelismConfiguration"),
            client_request_token=spec.get("ClientRequestToken"),
        )["PipelineExecutionArn"]
        record = pipeline.pipeline_executions[arn]
        record.pipeline_execution_status = "Executing"  # moto's have succeeded at once
        return Execution(self.site, Started(pipeline, record, definition, values), self._jobs)

    def stop(self, request: Request) -> dict[str, Any]:
        """Starts no further step and stops the running ones."""
        execution = self._execution(request.json["PipelineExecutionArn"])
        if execution.done.is_set():
            raise invalid(f"Pipeline execution with ARN {execution.record.arn} is not in a stoppable state")
        execution.stop()
        return {"PipelineExecutionArn": execution.record.arn}

    def describe_execution(self, request: Request) -> dict[str, Any]:
        """Status, reason and times of an execution."""
        execution = self._execution(request.json["PipelineExecutionArn"])
        record = execution.record
        return _present(
            PipelineArn=execution.pipeline.arn,
            PipelineExecutionArn=record.arn,
            PipelineExecutionDisplayName=record.pipeline_execution_display_name,
            PipelineExecutionStatus=record.pipeline_execution_status,
            PipelineExecutionDescription=record.pipeline_execution_description,
            FailureReason=record.pipeline_execution_failure_reason,
            CreationTime=epoch_s(record.creation_time),
            LastModifiedTime=epoch_s(record.last_modified_time),
            CreatedBy=record.created_by,
            LastModifiedBy=record.last_modified_by,
            ParallelismConfiguration=record.parallelism_configuration,
        )

    def list_executions(self, request: Request) -> dict[str, Any]:
        """The executions of a pipeline, newest first unless asked otherwise."""
        spec = request.json
        records = sorted(
            self._pipeline(spec["PipelineName"]).pipeline_executions.values(),
            key=lambda record: (
                record.arn if spec.get("SortBy") == "PipelineExecutionArn" else epoch_s(record.creation_time),
            ),
            reverse=spec.get("SortOrder", "Descending") == "Descending",
        )
        after, before = spec.get("CreatedAfter", float("-inf")), spec.get("CreatedBefore", float("inf"))
        shown = [
            _present(
                PipelineExecutionArn=record.arn,
                StartTime=epoch_s(record.start_time),
                PipelineExecutionStatus=record.pipeline_execution_status,
                PipelineExecutionDescription=record.pipeline_execution_description,
                PipelineExecutionDisplayName=record.pipeline_execution_display_name,
                PipelineExecutionFailureReason=record.pipeline_execution_failure_reason,
            )
            for record in records
            if after < epoch_s(record.creation_time) < before
        ]
        return _page("PipelineExecutionSummaries", shown, spec)

    def list_steps(self, request: Request) -> dict[str, Any]:
        """The steps that have started, newest first unless asked otherwise."""
        spec = request.json
        steps = [run.describe() for run in list(self._execution(spec["PipelineExecutionArn"]).steps.values())]
        if spec.get("SortOrder", "Descending") == "Descending":
            steps.reverse()
        return _page("PipelineExecutionSteps", steps, spec)

    def _execution(self, arn: str) -> Execution:
        if arn not in self._executions:
            raise ServiceError("ResourceNotFound", f"Pipeline execution with ARN {arn} does not exist.")
        return self._executions[arn]


def _present(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _page(key: str, items: list[dict[str, Any]], spec: dict[str, Any]) -> dict[str, Any]:
    """One page of a list; the token is the index at which the next one begins."""
    try:
        first = int(spec.get("NextToken") or 0)
    except ValueError as error:
        raise invalid("Invalid NextToken") from error
    last = first + int(spec.get("MaxResults") or MAX_PAGE)
    page: dict[str, Any] = {key: items[first:last]}
    if last < len(items):
        page["NextToken"] = str(last)
    return page
