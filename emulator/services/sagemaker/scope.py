"""What has happened in an execution so far: its steps, and what expressions may refer to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from emulator.services.sagemaker.definition import Definition, Step
from emulator.services.sagemaker.expressions import ExpressionError, dig, split_path
from emulator.services.sagemaker.site import Site, epoch_s, iso, now
from emulator.services.sagemaker.steps import StepContext
from emulator.services.sagemaker.storage import Storage, StorageError, join_uri


@dataclass
class StepRun:
    """What became of one step."""

    step: Step
    start: datetime
    status: str = "Starting"
    end: datetime | None = None
    reason: str | None = None
    attempts: int = 0
    properties: Mapping[str, Any] = field(default_factory=dict)
    context: StepContext | None = None

    def describe(self) -> dict[str, Any]:
        """The step as ListPipelineExecutionSteps shows it."""
        raw = self.step.raw
        shown = {
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
        return {key: value for key, value in shown.items() if value is not None}

    @property
    def metadata(self) -> dict[str, Any]:
        """The resources that the step made."""
        return dict(self.context.metadata) if self.context else {}


@dataclass(frozen=True)
class Started:
    """What an execution was started with.

    Attributes:
        pipeline, record: moto's pipeline and moto's execution of it.
        definition: the pipeline's, as it was at the start.
        parameters: the value of each.
    """

    pipeline: Any
    record: Any
    definition: Definition
    parameters: Mapping[str, Any]


class ExecutionScope:
    """Where the expressions of one execution find their values (`expressions.Scope`)."""

    def __init__(self, site: Site, started: Started, steps: Mapping[str, StepRun]) -> None:
        self._storage = Storage(site.client("s3"))
        self._started = started
        self._steps = steps

    def parameter(self, name: str) -> Any:
        """A parameter's value in this execution."""
        return self._started.parameters[name]  # the definition was checked: it refers to no other

    def execution(self, name: str) -> str:
        """An execution variable."""
        pipeline, record = self._started.pipeline, self._started.record
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
        """The properties of a step; who refers to it waits until it has succeeded."""
        return self._steps[name].properties

    def property_file(self, step: str, name: str) -> Any:
        """The JSON document of a step's property file."""
        file = self._started.definition.steps[step].property_files[name]
        path = f"ProcessingOutputConfig.Outputs['{file['OutputName']}'].S3Output.S3Uri"
        return self.json_object(join_uri(dig(self.step(step), split_path(path), path), file["FilePath"]))

    def json_object(self, uri: str) -> Any:
        """The JSON document in an S3 object."""
        try:
            return self._storage.read_json(uri)
        except StorageError as error:
            raise ExpressionError(str(error)) from error
