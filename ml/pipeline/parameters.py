"""What differs from run to run: the parameters of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import ParameterString

from ml.pipeline.settings import BuildSettings


@dataclass(frozen=True)
class RunParameters:
    """The pipeline's parameters, none of which has a default: an execution always names its run."""

    run_id: ParameterString
    code_version: ParameterString
    data_uri: ParameterString
    source_uri: ParameterString
    output_uri: ParameterString

    @classmethod
    def declare(cls) -> RunParameters:
        """The parameters as the definition declares them."""
        return cls(
            run_id=ParameterString(name="RunId"),
            code_version=ParameterString(name="CodeVersion"),
            data_uri=ParameterString(name="DataUri"),
            source_uri=ParameterString(name="SourceUri"),
            output_uri=ParameterString(name="OutputUri"),
        )

    def below_output(self, *names: str) -> Join:
        """An S3 URI below the run's output."""
        return Join(on="/", values=[self.output_uri, *names])

    def all(self) -> list[ParameterString]:
        """The parameters in the order of the definition."""
        return [self.run_id, self.code_version, self.data_uri, self.source_uri, self.output_uri]


def parameter_values(settings: BuildSettings) -> dict[str, str]:
    """The parameters' values for a run: equal for equal runs, as an idempotent start needs."""
    return {
        "RunId": settings.run_id,
        "CodeVersion": settings.code_version,
        "DataUri": settings.data_uri,
        "SourceUri": f"{settings.output_uri}/source",
        "OutputUri": settings.output_uri,
    }
