"""Sections of a stage's configuration. Units are in the names; a key without a default is required."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml.contract import MAX_K
from ml.settings.containers import FRAMEWORK_VERSION, IMAGE_URI, PY_VERSION, image_uri
from ml.settings.fields import Settings, setting
from ml.settings.training import MAX_RUNTIME_S, TrainingSettings

Days = Annotated[int, Field(ge=1, le=3653)]
MlInstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]
# CloudWatch Logs API, PutRetentionPolicy
LogRetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 3653
]
MIN_LINEAR_PERCENT = 10  # SageMaker API, TrafficRoutingConfig.LinearStepSize
MIN_STEP_INSTANCES = 2  # SageMaker API, TrafficRoutingConfig: a step is at most half of the instances
MAX_ROLLOUT_S = 28_800  # SageMaker API, MaximumExecutionTimeoutInSeconds
SETUP_S = 1_800  # of a rollout: instances, images and models
SLOW_MINUTES = 3  # before a rollout is rolled back for its latency, if its steps are long enough


class Section(BaseModel):
    """Base of a section: unknown keys and values of another type are refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Tags(Section):
    """Default tags of the provider (``aws:defaultTags``)."""

    Owner: str
    Service: str
    Stage: str


class StorageConfig(Section):
    """Retention of objects and logs."""

    expire_prepared_runs_after_days: Days
    expire_logs_after_days: Days
    expire_noncurrent_after_days: Days
    log_retention_days: LogRetentionDays


class NetworkConfig(Section):
    """Network of the Spark cluster."""

    cidr_block: str
    availability_zones: Annotated[tuple[str, ...], Field(min_length=1)]
    interface_endpoints: tuple[str, ...]

    @model_validator(mode="after")
    def _check_cidr_block(self) -> Self:
        ipaddress.ip_network(self.cidr_block)
        return self


@dataclass(frozen=True)
class BuildConfig(Settings):
    """CodeBuild project that upserts, starts and follows the SageMaker pipeline."""

    image: str = setting(help="CodeBuild image")
    compute_type: str = setting(
        pattern="BUILD_GENERAL1_.*",
        wanted="a type such as BUILD_GENERAL1_SMALL",
        help="CodeBuild compute type",
    )
    timeout_minutes: int = setting(at_least=5, at_most=2160, help="longest build")  # CodeBuild API, Project


@dataclass(frozen=True)
class TrainingConfig(TrainingSettings):
    """Training, evaluation, the quality gate, and the build that runs the pipeline."""

    build: BuildConfig = setting(help="CodeBuild project of the pipeline")


class ServingConfig(Section):
    """Endpoint, and rollout of new models to it.

    `image_uri` replaces AWS's image of `framework_version` and `py_version`.
    """

    framework_version: Annotated[str, Field(pattern=f"^{FRAMEWORK_VERSION}$")]
    py_version: Annotated[str, Field(pattern=f"^{PY_VERSION}$")]
    image_uri: Annotated[str, Field(pattern=f"^{IMAGE_URI}$")] | None
    instance_type: MlInstanceType
    min_instances: Annotated[int, Field(ge=1)]
    max_instances: Annotated[int, Field(ge=1)]
    target_invocations_per_minute: Annotated[int, Field(ge=1)]
    max_latency_ms: Annotated[int, Field(ge=1)]
    rollout: Literal["all_at_once", "canary", "linear"]
    # SageMaker API, TrafficRoutingConfig: CanarySize and LinearStepSize
    step_percent: Annotated[int, Field(ge=1, le=50)]
    # SageMaker API, WaitIntervalInSeconds and TerminationWaitInSeconds: 0 to 3600. The metrics of a minute
    # arrive up to two minutes later, and alarms are evaluated once per minute, so that an alarm needs four.
    wait_s: Annotated[int, Field(ge=240, le=3600)]
    keep_last: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.min_instances > self.max_instances:
            raise ValueError(
                f"min_instances is {self.min_instances}, more than max_instances {self.max_instances}"
            )
        if self.rollout == "linear" and self.step_percent < MIN_LINEAR_PERCENT:
            raise ValueError(
                f"step_percent is {self.step_percent}: a linear rollout takes {MIN_LINEAR_PERCENT} to 50"
            )
        if self.rollout != "all_at_once" and self.min_instances < MIN_STEP_INSTANCES:
            raise ValueError(
                f"min_instances is {self.min_instances}: a {self.rollout} rollout needs "
                f"{MIN_STEP_INSTANCES}, because a step is at most half of the instances; or write rollout: "
                "all_at_once"
            )
        if self.n_steps * self.wait_s + SETUP_S > MAX_ROLLOUT_S:
            raise ValueError(
                f"wait_s is {self.wait_s}: {self.n_steps} steps take more than the {MAX_ROLLOUT_S} s of a "
                f"rollout, {SETUP_S} s of which are for starting the instances"
            )
        return self

    @property
    def n_steps(self) -> int:
        """Number of times that a rollout waits."""
        return {"all_at_once": 1, "canary": 2, "linear": math.ceil(100 / self.step_percent)}[self.rollout]

    @property
    def latency_minutes(self) -> int:
        """Slow minutes that roll back a rollout: less than a step, and three at most."""
        return min(SLOW_MINUTES, max(1, self.wait_s // 120))

    def image(self, region: str) -> str:
        """URI of the endpoint's image.

        Raises:
            ValueError: the region has no PyTorch images.
        """
        return self.image_uri or self.aws_image(region)

    def aws_image(self, region: str) -> str:
        """URI of AWS's image of the two versions, which models have that were registered before `image_uri`.

        Raises:
            ValueError: the region has no PyTorch images.
        """
        return image_uri(region, "inference", self.instance_type, self.framework_version, self.py_version)


class BatchConfig(Section):
    """Recommendations of all users, written after each rollout by a SageMaker processing job."""

    enabled: bool
    top_n: Annotated[int, Field(ge=1, le=MAX_K)]
    instance_type: MlInstanceType
    volume_gib: Annotated[int, Field(ge=1, le=16_384)]  # SageMaker API, ProcessingClusterConfig
    max_runtime_s: Annotated[int, Field(ge=1, le=MAX_RUNTIME_S)]


class ApiConfig(Section):
    """Authentication, throttling and time budget of the recommendation API.

    After `model_timeout_ms` without an answer of the endpoint, the API answers with the popular list. With
    `record_answers`, its log has the items of each user's keyed hash, for comparisons of models.
    """

    auth: Literal["iam", "none"]
    rate_per_second: Annotated[float, Field(gt=0)]
    burst: Annotated[int, Field(ge=1)]
    model_timeout_ms: Annotated[int, Field(ge=500, le=10_000)]
    record_answers: bool


class FunctionsConfig(Section):
    """Settings of the Lambda functions."""

    powertools_layer_arn: Annotated[
        str, Field(pattern=r"^arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:layer:.+:\d+$")
    ]
    recommend_concurrency: Annotated[int, Field(ge=1)] | None


class DeadlinesConfig(Section):
    """Hours of the day, in `spark.timezone`, by which the run of the night must be complete.

    Attributes:
        prepared_by_hour: of the prepared run.
        trained_by_hour: of the pipeline execution.
    """

    prepared_by_hour: Annotated[int, Field(ge=0, le=23)]
    trained_by_hour: Annotated[int, Field(ge=0, le=23)]


class OperationsConfig(Section):
    """Alarm recipient, budget and deadlines; without deadlines (null) a missing run is not notified."""

    alarm_email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
    monthly_budget_usd: Annotated[int, Field(ge=1)]
    deadlines: DeadlinesConfig | None


class UsageConfig(Section):
    """Assumed usage, for the estimate of costs: no resource depends on it.

    Attributes:
        runs_per_month: prepared and trained runs.
        preparation_hours, training_hours, evaluation_hours, build_hours: duration per run.
        stored_gb: objects in the three buckets.
    """

    runs_per_month: Annotated[int, Field(ge=0)]
    preparation_hours: Annotated[float, Field(ge=0)]
    training_hours: Annotated[float, Field(ge=0)]
    evaluation_hours: Annotated[float, Field(ge=0)]
    build_hours: Annotated[float, Field(ge=0)]
    million_requests_per_month: Annotated[float, Field(ge=0)]
    stored_gb: Annotated[float, Field(ge=0)]
    logged_gb_per_month: Annotated[float, Field(ge=0)]
