"""The typed stage: what `Pulumi.<stage>.yaml` may say, read once and checked whole.

Stages differ by these fields and by nothing else: no code asks which stage it is in.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Annotated, Any, Literal, Self

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Days = Annotated[int, Field(ge=1, le=3653)]
Share = Annotated[float, Field(ge=0, le=1)]
Scalar = str | int | float
MlInstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]
# CloudWatch Logs API, PutRetentionPolicy
LogRetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 3653
]


class ConfigError(pulumi.RunError):
    """The stage's configuration is wrong. One line names the key; Pulumi prints it without a traceback."""


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


class NodeGroupConfig(Section):
    """Nodes of one role in the Spark cluster."""

    instance_type: Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9]+$")]
    count: Annotated[int, Field(ge=0)]
    market: Literal["ON_DEMAND", "SPOT"]


class SparkConfig(Section):
    """The preparation: its cluster, its schedule, and what it keeps.

    `scheduler` says who launches runs: Airflow from outside, or EventBridge Scheduler at `cron`.
    """

    release: Annotated[str, Field(pattern=r"^emr-7\.\d+\.\d+$")]
    primary: NodeGroupConfig
    core: NodeGroupConfig
    task: NodeGroupConfig
    scheduler: Literal["airflow", "eventbridge"]
    cron: Annotated[str, Field(pattern=r"^cron\(\S+( \S+){5}\)$")]
    timezone: str
    min_interactions: Annotated[int, Field(ge=3)]  # train, validation and test each take one
    max_quarantined_share: Share
    certificates_uri: Annotated[str, Field(pattern=r"^s3://.+\.zip$")] | None


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
    hyperparameters: dict[str, Scalar]
    floors: Thresholds
    tolerance: Thresholds
    approval: Literal["automatic", "manual"]
    build: BuildConfig


class ServingConfig(Section):
    """The endpoint and how a new model reaches it."""

    instance_type: MlInstanceType
    min_instances: Annotated[int, Field(ge=1)]
    max_instances: Annotated[int, Field(ge=1)]
    target_invocations_per_minute: Annotated[int, Field(ge=1)]
    max_latency_ms: Annotated[int, Field(ge=1)]
    rollout: Literal["all_at_once", "canary", "linear"]
    canary_percent: Annotated[int, Field(ge=1, le=50)]
    wait_s: Annotated[int, Field(ge=0, le=3600)]
    keep_last: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.min_instances > self.max_instances:
            raise ValueError(
                f"min_instances is {self.min_instances}, more than max_instances {self.max_instances}"
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


class StageConfig(Section):
    """One stage, whole."""

    stage: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,9}$")]
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    tags: Tags
    protect_data: bool
    storage: StorageConfig
    network: NetworkConfig
    spark: SparkConfig
    training: TrainingConfig
    serving: ServingConfig
    api: ApiConfig
    functions: FunctionsConfig
    operations: OperationsConfig

    @model_validator(mode="after")
    def _everything_is_of_this_stage_and_region(self) -> Self:
        if self.tags.Stage != self.stage:
            raise ValueError(f"aws:defaultTags: Stage is {self.tags.Stage!r} in the stage {self.stage!r}")
        if f":{self.region}:" not in self.functions.powertools_layer_arn:
            raise ValueError(f"ncf:functions.powertools_layer_arn is not in the region {self.region}")
        for zone in self.network.availability_zones:
            if not zone.startswith(self.region):
                raise ValueError(f"ncf:network.availability_zones: {zone} is not in the region {self.region}")
        return self


def load() -> StageConfig:
    """The configuration of the stack that is running.

    Raises:
        ConfigError: a key is unknown, missing or wrong; the message names it.
    """
    namespace = f"{pulumi.get_project()}:"
    # The SDK reads keys one by one; only the whole shows a key that is misspelt.
    values = {**get_config_env(), **CONFIG.get()}
    own = {
        key.removeprefix(namespace): _parsed(value)
        for key, value in values.items()
        if key.startswith(namespace)
    }
    document = {
        **own,
        "stage": pulumi.get_stack(),
        "region": values.get("aws:region"),
        "tags": (_parsed(values.get("aws:defaultTags", "{}")) or {}).get("tags", {}),
    }
    for key in ("stage", "region", "tags"):
        if key in own:
            raise ConfigError(f"{namespace}{key} is not known: the stack and aws: say it")
    try:
        return StageConfig.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise ConfigError(_line(namespace, error)) from None


def _parsed(value: Any) -> Any:
    """A value as YAML had it: Pulumi hands over sections as JSON, and everything else as text."""
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value


def _line(namespace: str, error: ValidationError) -> str:
    """The first fault, in one line; what is misspelt comes before what is therefore missing."""
    faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    fault = faults[0]
    path = tuple(fault["loc"])
    key = _key(namespace, path)
    if fault["type"] == "extra_forbidden":
        return f"{key} is not known: write one of {', '.join(_allowed(path[:-1]))}"
    if fault["type"] == "missing":
        return f"{key} is missing"
    if not path or fault["type"] == "value_error":
        message = fault["msg"].removeprefix("Value error, ")
        return f"{key}: {message}" if path else message
    return f"{key} is {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _key(namespace: str, path: tuple[Any, ...]) -> str:
    match path:
        case ("tags", *rest):
            return ".".join(("aws:defaultTags", "tags", *map(str, rest)))
        case ("region",):
            return "aws:region"
        case ("stage",):
            return "the stack's name"
    return namespace + ".".join(map(str, path))


def _allowed(path: tuple[Any, ...]) -> list[str]:
    """The keys of the section at `path`."""
    section: Any = StageConfig
    for part in path:
        section = section.model_fields[part].annotation
    return sorted(set(section.model_fields) - {"stage", "region", "tags"})
