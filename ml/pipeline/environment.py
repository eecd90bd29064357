"""Environment variables of a build: its stage, and the prepared run that it trains on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ml import contract
from ml.settings.fields import SettingError
from ml.settings.training import PipelineSettings

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")  # S3 user guide, bucket naming rules
_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}")  # SageMaker: pipelines, package groups, endpoints
_ARN = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:\d{12}:.+")
_OBJECT_VERSION = re.compile(r"[A-Za-z0-9._-]{1,1024}")
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")

_A_BUCKET = (_BUCKET, "the name of a bucket")
_A_NAME = (_NAME, "a name of letters, digits and hyphens such as ncf-dev")
_AN_ARN = (_ARN, "an ARN")


class VariableError(ValueError):
    """An environment variable is missing or wrong; the message begins with its name."""


@dataclass(frozen=True, kw_only=True)
class PipelineStage:
    """Names and training settings of the stage: everything that the pipeline's definition depends on."""

    name: str
    region: str
    data_bucket: str
    artifacts_bucket: str
    kms_key_arn: str
    pipeline_name: str
    pipeline_role_arn: str
    job_role_arn: str
    model_role_arn: str
    model_package_group: str
    endpoint_name: str
    deploy_function_arn: str
    rejection_function_arn: str
    training: PipelineSettings

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> PipelineStage:
        """Read the stage from the environment variables of the CodeBuild project.

        Raises:
            VariableError: a variable is missing or wrong; the message begins with its name.
        """
        read = _Variables(environment)
        training_json = read.text(contract.ENV_TRAINING)
        try:
            training = PipelineSettings.from_json(training_json)
        except SettingError as error:
            raise VariableError(f"{contract.ENV_TRAINING}: {error}") from None
        return cls(
            name=read.matching(contract.ENV_STAGE, *_A_NAME),
            region=read.matching("AWS_DEFAULT_REGION", _REGION, "a region such as ap-northeast-2"),
            data_bucket=read.matching(contract.ENV_DATA_BUCKET, *_A_BUCKET),
            artifacts_bucket=read.matching(contract.ENV_ARTIFACTS_BUCKET, *_A_BUCKET),
            kms_key_arn=read.matching(contract.ENV_KMS_KEY_ARN, *_AN_ARN),
            pipeline_name=read.matching(contract.ENV_PIPELINE_NAME, *_A_NAME),
            pipeline_role_arn=read.matching(contract.ENV_PIPELINE_ROLE_ARN, *_AN_ARN),
            job_role_arn=read.matching(contract.ENV_JOB_ROLE_ARN, *_AN_ARN),
            model_role_arn=read.matching(contract.ENV_MODEL_ROLE_ARN, *_AN_ARN),
            model_package_group=read.matching(contract.ENV_MODEL_PACKAGE_GROUP, *_A_NAME),
            endpoint_name=read.matching(contract.ENV_ENDPOINT_NAME, *_A_NAME),
            deploy_function_arn=read.matching(contract.ENV_DEPLOY_FUNCTION_ARN, *_AN_ARN),
            rejection_function_arn=read.matching(contract.ENV_REJECTION_FUNCTION_ARN, *_AN_ARN),
            training=training,
        )


@dataclass(frozen=True, kw_only=True)
class Run:
    """A prepared run and the version of the code bundle that trains on it."""

    run_id: str
    code_version: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Run:
        """Read the run from the environment variables of the rendered buildspec.

        Raises:
            VariableError: a variable is missing or wrong; the message begins with its name.
        """
        read = _Variables(environment)
        return cls(
            run_id=read.matching(
                contract.ENV_RUN_ID, contract.RUN_ID_PATTERN, "a UTC time such as 20261123T020000Z"
            ),
            code_version=read.matching(
                contract.ENV_CODE_VERSION, _OBJECT_VERSION, "a version id of the code bundle"
            ),
        )

    @property
    def data_prefix(self) -> str:
        """Key prefix of the run in the data bucket."""
        return contract.run_prefix(self.run_id)

    @property
    def output_prefix(self) -> str:
        """Key prefix of the run's outputs in the artifacts bucket."""
        return f"{contract.MODELS_PREFIX}{self.run_id}/"

    @property
    def source_prefix(self) -> str:
        """Key prefix of the unpacked code in the artifacts bucket; a repeated run may have newer code."""
        return f"{self.output_prefix}source/{self.code_version}/"

    @property
    def evaluation_key(self) -> str:
        """Key of NCFEvaluation's report in the artifacts bucket."""
        return f"{self.output_prefix}evaluation/{contract.EVALUATION_FILE}"


@dataclass(frozen=True)
class _Variables:
    environment: Mapping[str, str]

    def text(self, name: str) -> str:
        value = self.environment.get(name, "")
        if not value:
            raise VariableError(f"{name}: not set")
        return value

    def matching(self, name: str, pattern: re.Pattern[str], expected: str) -> str:
        value = self.text(name)
        if not pattern.fullmatch(value):
            raise VariableError(f"{name}: {value!r} is not {expected}")
        return value
