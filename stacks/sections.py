"""The sections of a stage's configuration. Units are in the names; every key is required."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Days = Annotated[int, Field(ge=1, le=3653)]
Share = Annotated[float, Field(ge=0, le=1)]
MlInstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]
# CloudWatch Logs API, PutRetentionPolicy
LogRetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 3653
]
MIN_LINEAR_PERCENT = 10  # SageMaker API, TrafficRoutingConfig.LinearStepSize


class Section(BaseModel):
    """Keys that belong together. A key that isn't known is refused, and so is a value that needs a cast."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Tags(Section):
    """What the provider puts on every resource (``aws:defaultTags``)."""

    Owner: str
    Service: str
    Stage: str


class StorageConfig(Section):
    """How long things are kept."""

    expire_prepared_runs_after_days: Days
    expire_logs_after_days: Days
    expire_noncurrent_after_days: Days
    log_retention_days: LogRetentionDays


class NetworkConfig(Section):
    """Where Spark runs."""

    cidr_block: str
    availability_zones: Annotated[tuple[str, ...], Field(min_length=1)]
    interface_endpoints: tuple[str, ...]

    @model_validator(mode="after")
    def _is_a_network(self) -> Self:
        ipaddress.ip_network(self.cidr_block)
        return self


class Thresholds(Section):
    """One number for each metric that the gate looks at."""

    hr_at_10: Share
    ndcg_at_10: Share


class BuildConfig(Section):
    """Where the pipeline is built and followed."""

    image: str
    compute_type: Annotated[str, Field(pattern=r"^BUILD_GENERAL1_")]
    timeout_minutes: Annotated[int, Field(ge=5, le=2160)]


class TrainingConfig(Section):
    """Training, evaluation and the gate."""

    framework_version: Annotated[str, Field(pattern=r"^\d+\.\d+(\.\d+)?$")]
    py_version: Annotated[str, Field(pattern=r"^py\d{2,3}$")]
    instance_type: MlInstanceType
    evaluation_instance_type: MlInstanceType
    volume_gib: Annotated[int, Field(ge=1, le=16384)]
    max_runtime_s: Annotated[int, Field(ge=60, le=432_000)]
    use_spot: bool
    hyperparameters: dict[str, Any]
    floors: Thresholds
    tolerance: Thresholds
    approval: Literal["automatic", "manual"]
    build: BuildConfig

    @field_validator("hyperparameters")
    @classmethod
    def _are_numbers_and_texts(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise ValueError(f"{name} is {value!r}: write a number or a text")
        return values


class ServingConfig(Section):
    """The endpoint and how a new model reaches it."""

    instance_type: MlInstanceType
    min_instances: Annotated[int, Field(ge=1)]
    max_instances: Annotated[int, Field(ge=1)]
    target_invocations_per_minute: Annotated[int, Field(ge=1)]
    max_latency_ms: Annotated[int, Field(ge=1)]
    rollout: Literal["all_at_once", "canary", "linear"]
    step_percent: Annotated[int, Field(ge=1, le=50)]  # SageMaker API, CapacitySize of a canary or step
    wait_s: Annotated[int, Field(ge=0, le=3600)]
    keep_last: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.min_instances > self.max_instances:
            raise ValueError(
                f"min_instances is {self.min_instances}, more than max_instances {self.max_instances}"
            )
        if self.rollout == "linear" and self.step_percent < MIN_LINEAR_PERCENT:
            raise ValueError(
                f"step_percent is {self.step_percent}: a linear rollout takes {MIN_LINEAR_PERCENT} to 50"
            )
        return self


class ApiConfig(Section):
    """Who may ask, and how often."""

    auth: Literal["iam", "none"]
    rate_per_second: Annotated[float, Field(gt=0)]
    burst: Annotated[int, Field(ge=1)]


class FunctionsConfig(Section):
    """What the Lambda functions share."""

    powertools_layer_arn: Annotated[
        str, Field(pattern=r"^arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:layer:.+:\d+$")
    ]
    recommend_concurrency: Annotated[int, Field(ge=1)] | None


class OperationsConfig(Section):
    """Who is told, and what it may cost."""

    alarm_email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
    monthly_budget_usd: Annotated[int, Field(ge=1)]
