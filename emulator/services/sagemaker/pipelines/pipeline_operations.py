"""Pipeline operations: moto stores the pipelines, an `Execution` runs each execution."""

from __future__ import annotations

import threading
from typing import Any

from emulator.provider import Forward
from emulator.region import Region
from emulator.services.sagemaker.errors import invalid, not_emulated
from emulator.services.sagemaker.events import EventPublisher
from emulator.services.sagemaker.execution_role import check_role
from emulator.services.sagemaker.jobs.base import Jobs
from emulator.services.sagemaker.pipelines.definition import DefinitionError, PipelineDefinition
from emulator.services.sagemaker.pipelines.execution import Execution
from emulator.services.sagemaker.pipelines.scope import ExecutionInput
from emulator.services.sagemaker.s3_files import S3Files, S3FilesError, join_uri
from emulator.services.sagemaker.times import epoch_s, now
from emulator.wire import Operation, Request, Response, ServiceError

MAX_DEFINITION = 1_048_576  # API reference, PipelineDefinition; of a definition in S3, too
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
    """Pipelines of one region."""

    def __init__(
        self, region: Region, forward: Forward, events: EventPublisher, training: Jobs, processing: Jobs
    ) -> None:
        self.region = region
        self._forward = forward
        self._events = events
        self._training, self._processing = training, processing
        self._lock = threading.Lock()
        self._executions: dict[str, Execution] = {}
        # Execution ARN by pipeline name and client request token.
        self._arns_by_token: dict[tuple[str, str], str] = {}

    def operations(self) -> dict[str, Operation]:
        """Handlers by operation name."""
        return {
            "CreatePipeline": self.create,
            "UpdatePipeline": self.update,
            "DescribePipeline": self.forward_if_exists,
            "DeletePipeline": self.forward_if_exists,
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
        """CreatePipeline; a definition that the emulator cannot run is refused."""
        check_role(self.region, request.json["RoleArn"], self._arn(request.json["PipelineName"]))
        text = self._checked_definition(request.json)
        response = self._forward(request)
        if response.status == 200:
            self._find_pipeline(request.json["PipelineName"]).pipeline_definition = text
        return response

    def update(self, request: Request) -> Response:
        """UpdatePipeline, with the same check of a new definition."""
        pipeline = self._find_pipeline(request.json["PipelineName"])
        if role := request.json.get("RoleArn"):
            check_role(self.region, role, pipeline.arn)
        text = pipeline.pipeline_definition
        if {"PipelineDefinition", "PipelineDefinitionS3Location"} & set(request.json):
            text = self._checked_definition(request.json)
        response = self._forward(request)
        pipeline.pipeline_definition = text
        pipeline.last_modified_time = now()
        return response

    def forward_if_exists(self, request: Request) -> Response:
        """Forward a request to moto; if the pipeline does not exist, raise SageMaker's error, not moto's."""
        self._find_pipeline(request.json["PipelineName"])
        return self._forward(request)

    def refuse(self, request: Request) -> Response:
        """Refuse an operation that is not emulated."""
        raise not_emulated(request.operation)

    def _checked_definition(self, spec: dict[str, Any]) -> str:
        """Checked definition of a request, from its text or its S3 object; moto does not read the object."""
        text = spec.get("PipelineDefinition", "")
        try:
            if location := spec.get("PipelineDefinitionS3Location"):
                uri = join_uri(f"s3://{location['Bucket']}", location["ObjectKey"])
                text = S3Files(self.region.client("s3")).read_text(uri)
                if len(text) > MAX_DEFINITION:
                    raise DefinitionError(f"it has more than {MAX_DEFINITION} characters")
            PipelineDefinition.parse(text)
        except (DefinitionError, S3FilesError) as error:
            raise invalid(f"Unable to parse pipeline definition. {error}") from error
        return text

    def _find_pipeline(self, name_or_arn: str) -> Any:
        name = name_or_arn.rpartition("/")[2]
        pipeline = self.region.backend("sagemaker").pipelines.get(name)
        if pipeline is None:
            raise ServiceError("ResourceNotFound", f"Pipeline '{self._arn(name)}' does not exist.")
        return pipeline

    def _arn(self, name: str) -> str:
        return self.region.arn("sagemaker", f"pipeline/{name}")

    # -- executions -----------------------------------------------------------------------------
    def start(self, request: Request) -> dict[str, Any]:
        """StartPipelineExecution; the same ClientRequestToken returns the same execution."""
        spec = request.json
        if unknown := sorted(set(spec) - START_FIELDS):
            raise not_emulated(f"StartPipelineExecution with {', '.join(unknown)}")
        pipeline = self._find_pipeline(spec["PipelineName"])
        token = (pipeline.pipeline_name, spec.get("ClientRequestToken", ""))
        with self._lock:
            if arn := self._arns_by_token.get(token):
                return {"PipelineExecutionArn": arn}
            execution = self._create_execution(pipeline, spec)
            self._executions[execution.record.arn] = execution
            if token[1]:
                self._arns_by_token[token] = execution.record.arn
        execution.start()
        return {"PipelineExecutionArn": execution.record.arn}

    def _create_execution(self, pipeline: Any, spec: dict[str, Any]) -> Execution:
        given = {item["Name"]: item["Value"] for item in spec.get("PipelineParameters", [])}
        try:
            definition = PipelineDefinition.parse(pipeline.pipeline_definition)
            values = definition.values(given)
        except DefinitionError as error:
            raise invalid(f"Unable to start the pipeline: {error}") from error
        arn = self.region.backend("sagemaker").start_pipeline_execution(
            pipeline_name=pipeline.pipeline_name,
            pipeline_execution_display_name=spec.get("PipelineExecutionDisplayName")
            or f"execution-{int(epoch_s(now()) * 1000)}",
            pipeline_parameters=spec.get("PipelineParameters", []),
            pipeline_execution_description=spec.get("PipelineExecutionDescription"),
            parallelism_configuration=spec.get("ParallelismConfiguration"),
            client_request_token=spec.get("ClientRequestToken"),
        )["PipelineExecutionArn"]
        record = pipeline.pipeline_executions[arn]
        record.pipeline_execution_status = "Executing"  # moto sets Succeeded
        execution_input = ExecutionInput(pipeline, record, definition, values)
        return Execution(execution_input, self._events, self._training, self._processing)

    def stop(self, request: Request) -> dict[str, Any]:
        """StopPipelineExecution: stops the running steps and starts no more."""
        execution = self._find_execution(request.json["PipelineExecutionArn"])
        if execution.done.is_set():
            raise invalid(f"Pipeline execution with ARN {execution.record.arn} is not in a stoppable state")
        execution.stop()
        return {"PipelineExecutionArn": execution.record.arn}

    def describe_execution(self, request: Request) -> dict[str, Any]:
        """DescribePipelineExecution."""
        execution = self._find_execution(request.json["PipelineExecutionArn"])
        record = execution.record
        return _without_none(
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
        """ListPipelineExecutions; newest first by default."""
        spec = request.json
        records = sorted(
            self._find_pipeline(spec["PipelineName"]).pipeline_executions.values(),
            key=lambda record: (
                record.arn if spec.get("SortBy") == "PipelineExecutionArn" else epoch_s(record.creation_time),
            ),
            reverse=spec.get("SortOrder", "Descending") == "Descending",
        )
        after, before = spec.get("CreatedAfter", float("-inf")), spec.get("CreatedBefore", float("inf"))
        summaries = [
            _without_none(
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
        return _page("PipelineExecutionSummaries", summaries, spec)

    def list_steps(self, request: Request) -> dict[str, Any]:
        """ListPipelineExecutionSteps: the steps that have started; newest first by default."""
        spec = request.json
        steps = [
            run.describe() for run in list(self._find_execution(spec["PipelineExecutionArn"]).steps.values())
        ]
        if spec.get("SortOrder", "Descending") == "Descending":
            steps.reverse()
        return _page("PipelineExecutionSteps", steps, spec)

    def _find_execution(self, arn: str) -> Execution:
        if arn not in self._executions:
            raise ServiceError("ResourceNotFound", f"Pipeline execution with ARN {arn} does not exist.")
        return self._executions[arn]


def _without_none(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _page(key: str, items: list[dict[str, Any]], spec: dict[str, Any]) -> dict[str, Any]:
    """One page of a list; the token is the index of the next page's first item."""
    try:
        first = int(spec.get("NextToken") or 0)
    except ValueError as error:
        raise invalid("Invalid NextToken") from error
    last = first + int(spec.get("MaxResults") or MAX_PAGE)
    page: dict[str, Any] = {key: items[first:last]}
    if last < len(items):
        page["NextToken"] = str(last)
    return page
