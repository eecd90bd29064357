"""Parameters of the pipeline: the values that differ between runs."""

from __future__ import annotations

from sagemaker.core.helper.pipeline_variable import PipelineVariable
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import ParameterString


class RunParameters:
    """Parameters of the pipeline, without defaults: each execution sets all of them.

    `ml.pipeline.execution.parameter_values` returns their values.
    """

    def __init__(self) -> None:
        self.run_id = ParameterString(name="RunId")
        self.code_version = ParameterString(name="CodeVersion")
        self.data_uri = ParameterString(name="DataUri")
        self.source_uri = ParameterString(name="SourceUri")
        self.output_uri = ParameterString(name="OutputUri")

    def below_output(self, *names: str | PipelineVariable) -> Join:
        """An S3 URI below the run's output."""
        return Join(on="/", values=[self.output_uri, *names])

    def all(self) -> list[ParameterString]:
        """The parameters in the order of the definition."""
        return [self.run_id, self.code_version, self.data_uri, self.source_uri, self.output_uri]
