"""State of a pipeline execution: its steps and the values that expressions can refer to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from emulator.region import Region
from emulator.services.sagemaker.execution_role import SESSION
from emulator.services.sagemaker.pipelines.definition import PipelineDefinition, PipelineStep
from emulator.services.sagemaker.pipelines.expressions import PipelineExpressionError, split_path, value_at
from emulator.services.sagemaker.pipelines.steps import StepContext
from emulator.services.sagemaker.s3_files import S3Files, S3FilesError, join_uri
from emulator.services.sagemaker.times import epoch_s, iso, now


@dataclass
class StepExecution:
    """State of one step in an execution."""

    step: PipelineStep
    start: datetime
    status: str = "Starting"
    end: datetime | None = None
    reason: str | None = None
    attempts: int = 0
    properties: Mapping[str, Any] = field(default_factory=dict)
    context: StepContext | None = None

    def describe(self) -> dict[str, Any]:
        """The step's entry in ListPipelineExecutionSteps."""
        raw = self.step.raw
        fields = {
            "StepName": self.step.name,
            "StepDisplayName": raw.get("DisplayName"),
            "StepDescription": raw.get("Description"),
            "StartTime": epoch_s(self.start),
            "EndTime": epoch_s(self.end) if self.end else None,
            "StepStatus": self.status,
            "FailureReason": self.reason,
            "Metadata": self.metadata,
            "AttemptCount": self.attempts,
        }
        return {key: value for key, value in fields.items() if value is not None}

    @property
    def metadata(self) -> dict[str, Any]:
        """Resources that the step created."""
        return dict(self.context.metadata) if self.context else {}


@dataclass(frozen=True)
class ExecutionInput:
    """Input of an execution.

    Attributes:
        pipeline, record: moto's pipeline and execution.
        definition: the pipeline's definition when the execution started.
        parameters: values by name.
    """

    pipeline: Any
    record: Any
    definition: PipelineDefinition
    parameters: Mapping[str, Any]


class ExecutionScope:
    """Values that the expressions of one execution can refer to; implements `expressions.Scope`."""

    def __init__(
        self, region: Region, execution_input: ExecutionInput, steps: Mapping[str, StepExecution]
    ) -> None:
        self._s3 = S3Files(region.role_client("s3", execution_input.pipeline.role_arn, SESSION))
        self._input = execution_input
        self._steps = steps

    def parameter(self, name: str) -> Any:
        """Value of a pipeline parameter."""
        return self._input.parameters[name]  # the definition was checked: it uses declared parameters only

    def execution(self, name: str) -> str:
        """Value of an execution variable."""
        pipeline, record = self._input.pipeline, self._input.record
        variables = {
            "StartDateTime": iso(record.start_time),
            "CurrentDateTime": iso(now()),
            "PipelineName": pipeline.pipeline_name,
            "PipelineArn": pipeline.arn,
            "PipelineExecutionId": record.arn.rpartition("/")[2],
            "PipelineExecutionArn": record.arn,
        }
        return str(variables[name])

    def step(self, name: str) -> Mapping[str, Any]:
        """Properties of a step; it has succeeded, since steps depend on those that they refer to."""
        return self._steps[name].properties

    def property_file(self, step: str, name: str) -> Any:
        """JSON document in a property file of a step."""
        file = self._input.definition.steps[step].property_files[name]
        path = f"ProcessingOutputConfig.Outputs['{file['OutputName']}'].S3Output.S3Uri"
        return self.json_object(join_uri(value_at(self.step(step), split_path(path), path), file["FilePath"]))

    def json_object(self, uri: str) -> Any:
        """JSON document in an S3 object."""
        try:
            return self._s3.read_json(uri)
        except S3FilesError as error:
            raise PipelineExpressionError(str(error)) from error
