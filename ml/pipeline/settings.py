"""What a build must be told: the stage's training settings and the places it works with.

Both come from environment variables: the CodeBuild project sets the stage's, the rendered
buildspec the run's. Every error names the variable, and the field where there is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from ml import contract

Approval = Literal["automatic", "manual"]
Scalar = str | int | float

GATED_METRICS = ("hr_at_10", "ndcg_at_10")
MAX_RUNTIME_S = 5 * 24 * 3600  # SageMaker quotas: a training job runs five days at most
MAX_SPOT_WAIT_FACTOR = 2  # how long a spot job may wait, in multiples of its own time limit

_INSTANCE_TYPE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+")
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?")
_PY_VERSION = re.compile(r"py\d{2,3}")
_OBJECT_VERSION = re.compile(r"[A-Za-z0-9._-]{1,1024}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")  # S3 user guide, bucket naming rules
_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}")  # SageMaker: names of pipelines, groups, endpoints
_ARN = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:\d{12}:.+")


class SettingsError(ValueError):
    """A variable is missing or wrong; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """One number for each metric that the gate looks at."""

    hr_at_10: float
    ndcg_at_10: float


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The stage's training section, as ``NCF_TRAINING`` carries it: one JSON object with these keys.

    Every key is required and no other is accepted::

        {"instance_type": "ml.m5.xlarge", "evaluation_instance_type": "ml.m5.xlarge",
         "serving_instance_type": "ml.m5.large", "volume_gib": 30, "max_runtime_s": 7200,
         "use_spot": true, "framework_version": "2.6.0", "py_version": "py312",
         "hyperparameters": {"epochs": 10, "lr": 0.001},
         "floors": {"hr_at_10": 0.5, "ndcg_at_10": 0.25},
         "tolerance": {"hr_at_10": 0.01, "ndcg_at_10": 0.01},
         "approval": "automatic", "tags": {"Owner": "recommendation", "Service": "ncf"}}

    ``framework_version`` and ``py_version`` choose AWS's PyTorch images for training and serving.
    A candidate passes the gate when each metric is at least its floor, and no more than the
    tolerance below the champion's. NCF trains on one host, so there is no instance count.
    """

    instance_type: str
    evaluation_instance_type: str
    serving_instance_type: str
    volume_gib: int
    max_runtime_s: int
    use_spot: bool
    framework_version: str
    py_version: str
    hyperparameters: Mapping[str, Scalar]
    floors: Thresholds
    tolerance: Thresholds
    approval: Approval
    tags: Mapping[str, str]

    def __post_init__(self) -> None:
        for name in ("instance_type", "evaluation_instance_type", "serving_instance_type"):
            _check_text(name, getattr(self, name), _INSTANCE_TYPE, "a SageMaker type such as ml.m5.xlarge")
        _check_text("framework_version", self.framework_version, _VERSION, "a version such as 2.6.0")
        _check_text("py_version", self.py_version, _PY_VERSION, "a Python such as py312")
        _check_int("volume_gib", self.volume_gib, 1, 16384)
        _check_int("max_runtime_s", self.max_runtime_s, 60, MAX_RUNTIME_S)
        if not isinstance(self.use_spot, bool):
            raise SettingsError(f"use_spot is {self.use_spot!r}: write true or false")
        if self.approval not in get_args(Approval):
            raise SettingsError(f"approval is {self.approval!r}: write automatic or manual")
        for key, value in _mapping("hyperparameters", self.hyperparameters).items():
            if isinstance(value, bool) or not isinstance(value, Scalar):
                raise SettingsError(f"hyperparameters.{key} is {value!r}: write a number or a text")
        for key, value in _mapping("tags", self.tags).items():
            if not isinstance(value, str):
                raise SettingsError(f"tags.{key} is {value!r}: write a text")

    @classmethod
    def from_json(cls, text: str) -> TrainingSettings:
        """The settings of a JSON object.

        Raises:
            SettingsError: not JSON, a key missing or unknown, or a value out of its range.
        """
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise SettingsError(f"not JSON ({error})") from None
        _check_keys("", document, [field.name for field in fields(cls)])
        document["floors"] = _thresholds("floors", document["floors"])
        document["tolerance"] = _thresholds("tolerance", document["tolerance"])
        return cls(**document)


@dataclass(frozen=True, kw_only=True)
class BuildSettings:
    """Everything a build of ``ml.pipeline`` works with: the stage's names, and one run."""

    stage: str
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
    run_id: str
    code_version: str
    training: TrainingSettings

    @property
    def data_uri(self) -> str:
        """Where the prepared run lies, without a trailing slash."""
        return f"s3://{self.data_bucket}/{contract.run_prefix(self.run_id)}".rstrip("/")

    @property
    def output_prefix(self) -> str:
        """The key prefix below which everything that this run makes is written."""
        return f"{contract.MODELS_PREFIX}{self.run_id}/"

    @property
    def output_uri(self) -> str:
        """The same as an S3 URI, without a trailing slash."""
        return f"s3://{self.artifacts_bucket}/{self.output_prefix}".rstrip("/")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> BuildSettings:
        """The settings of a build.

        Raises:
            SettingsError: a variable is missing or wrong; the message begins with its name.
        """
        texts = {
            field: _variable(environment, name, pattern, example)
            for field, (name, pattern, example) in _VARIABLES.items()
        }
        try:
            training = TrainingSettings.from_json(_present(environment, contract.ENV_TRAINING))
        except SettingsError as error:
            raise SettingsError(f"{contract.ENV_TRAINING}: {error}") from None
        return cls(training=training, region=_region(environment), **texts)


_VARIABLES: dict[str, tuple[str, re.Pattern[str], str]] = {
    "stage": (contract.ENV_STAGE, _NAME, "a stage such as dev"),
    "data_bucket": (contract.ENV_DATA_BUCKET, _BUCKET, "a bucket name"),
    "artifacts_bucket": (contract.ENV_ARTIFACTS_BUCKET, _BUCKET, "a bucket name"),
    "kms_key_arn": (contract.ENV_KMS_KEY_ARN, _ARN, "the ARN of a KMS key"),
    "pipeline_name": (contract.ENV_PIPELINE_NAME, _NAME, "a pipeline name such as ncf-dev"),
    "pipeline_role_arn": (contract.ENV_PIPELINE_ROLE_ARN, _ARN, "the ARN of a role"),
    "job_role_arn": (contract.ENV_JOB_ROLE_ARN, _ARN, "the ARN of a role"),
    "model_role_arn": (contract.ENV_MODEL_ROLE_ARN, _ARN, "the ARN of a role"),
    "model_package_group": (contract.ENV_MODEL_PACKAGE_GROUP, _NAME, "a group name such as NCF-dev"),
    "endpoint_name": (contract.ENV_ENDPOINT_NAME, _NAME, "an endpoint name such as ncf-dev"),
    "deploy_function_arn": (contract.ENV_DEPLOY_FUNCTION_ARN, _ARN, "the ARN of a function"),
    "run_id": (contract.ENV_RUN_ID, contract.RUN_ID_PATTERN, "a UTC time such as 20261123T020000Z"),
    "code_version": (contract.ENV_CODE_VERSION, _OBJECT_VERSION, "a version id of the code bundle"),
}


def _present(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def _variable(environment: Mapping[str, str], name: str, pattern: re.Pattern[str], example: str) -> str:
    value = _present(environment, name)
    if not pattern.fullmatch(value):
        raise SettingsError(f"{name} is {value!r}: write {example}")
    return value


def _region(environment: Mapping[str, str]) -> str:
    # CodeBuild sets AWS_REGION; the AWS_DEFAULT_REGION is what a person's shell has.
    return environment.get("AWS_REGION") or _present(environment, "AWS_DEFAULT_REGION")


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SettingsError(f"{name} is {value!r}: write an object")
    return value


def _check_keys(name: str, document: Any, expected: list[str]) -> None:
    where = f"{name}." if name else ""
    keys = set(_mapping(name or "the value", document))
    for key in sorted(keys - set(expected)):
        raise SettingsError(f"{where}{key} is not known: write {', '.join(expected)}")
    for key in expected:
        if key not in keys:
            raise SettingsError(f"{where}{key} is missing")


def _thresholds(name: str, document: Any) -> Thresholds:
    _check_keys(name, document, list(GATED_METRICS))
    for metric, value in document.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise SettingsError(f"{name}.{metric} is {value!r}: write a number from 0 to 1")
    return Thresholds(**{metric: float(document[metric]) for metric in GATED_METRICS})


def _check_text(name: str, value: Any, pattern: re.Pattern[str], example: str) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise SettingsError(f"{name} is {value!r}: write {example}")


def _check_int(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingsError(f"{name} is {value!r}: write a whole number from {low} to {high}")
