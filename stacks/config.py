"""Typed configuration of a stage: `Pulumi.<stage>.yaml`, read and validated once.

Stages differ only by these values: no code depends on a stage's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Self, get_args, get_type_hints

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env
from pydantic import AfterValidator, Field, PlainValidator, ValidationError, model_validator

from ml.settings.containers import image_region
from ml.settings.fields import SettingError, read
from ml.settings.monitoring import MonitoringSettings
from ml.settings.regions import supported_region
from stacks.sections import (
    ApiConfig,
    BatchConfig,
    FunctionsConfig,
    NetworkConfig,
    OperationsConfig,
    Section,
    ServingConfig,
    StorageConfig,
    Tags,
    TrainingConfig,
    UsageConfig,
)
from stacks.spark_sections import FeatureStoreConfig, SparkConfig

# Fields of `StageConfig` that are not keys of the project's namespace, to the setting that defines them.
OTHER_KEYS = {"stage": "the stack's name", "region": "aws:region", "tags": "aws:defaultTags.tags"}
UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")  # Pydantic's errors for models, dataclasses


class ConfigError(pulumi.RunError):
    """A key of the configuration is wrong; Pulumi prints the one-line message without a traceback."""


class StageConfig(Section):
    """Configuration of a stage."""

    stage: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,9}$")]
    region: Annotated[str, AfterValidator(supported_region)]
    tags: Tags
    protect_data: bool
    storage: StorageConfig
    network: NetworkConfig
    spark: SparkConfig
    feature_store: FeatureStoreConfig | None
    training: Annotated[TrainingConfig, PlainValidator(partial(read, TrainingConfig))]
    serving: ServingConfig
    batch_recommendations: BatchConfig
    api: ApiConfig
    functions: FunctionsConfig
    operations: OperationsConfig
    monitoring: Annotated[MonitoringSettings, PlainValidator(partial(read, MonitoringSettings))]
    usage: UsageConfig

    @model_validator(mode="after")
    def _check_stage_and_region(self) -> Self:
        if self.tags.Stage != self.stage:
            raise ValueError(f"aws:defaultTags.tags.Stage is {self.tags.Stage!r} in the stage {self.stage!r}")
        if f":{self.region}:" not in self.functions.powertools_layer_arn:
            raise ValueError(f"ncf:functions.powertools_layer_arn is not in the region {self.region}")
        for zone in self.network.availability_zones:
            if not zone.startswith(self.region):
                raise ValueError(f"ncf:network.availability_zones: {zone} is not in the region {self.region}")
        for section, uri in (("training", self.training.image_uri), ("serving", self.serving.image_uri)):
            if uri is not None and image_region(uri) != self.region:  # SageMaker pulls within a region
                raise ValueError(f"ncf:{section}.image_uri is not in the region {self.region}")
        # The network has an endpoint only for Secrets Manager of its region.
        if self.feature_store and f":{self.region}:" not in self.feature_store.secret_arn:
            raise ValueError(f"ncf:feature_store.secret_arn is not in the region {self.region}")
        return self


def load() -> StageConfig:
    """The configuration of the current stack.

    Raises:
        ConfigError: a key is unknown, missing or wrong; the message names it.
    """
    # `pulumi.Config` reads single keys and would ignore misspelt ones, so all keys are read.
    return of_values(
        {**get_config_env(), **CONFIG.get()}, project=pulumi.get_project(), stage=pulumi.get_stack()
    )


def of_values(values: Mapping[str, Any], *, project: str, stage: str) -> StageConfig:
    """The configuration of a stage from its full keys (``ncf:api``) and values, as JSON or as in the file.

    Raises:
        ConfigError: a key is unknown, missing or wrong; the message names it.
    """
    namespace = f"{project}:"
    own = {
        key.removeprefix(namespace): _parsed(value)
        for key, value in values.items()
        if key.startswith(namespace)
    }
    document = {
        **own,
        "stage": stage,
        **({"region": values["aws:region"]} if "aws:region" in values else {}),
        "tags": (_parsed(values.get("aws:defaultTags", "{}")) or {}).get("tags", {}),
    }
    for key, place in OTHER_KEYS.items():
        if key in own:
            raise ConfigError(f"{namespace}{key} is not known: {place} sets it")
    try:
        return StageConfig.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise ConfigError(_line(namespace, error)) from None


def _parsed(value: Any) -> Any:
    """A value as in the YAML file: Pulumi passes sections as JSON, scalars as text, null as empty text."""
    if value == "":
        return None
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value


def _line(namespace: str, error: ValidationError) -> str:
    """First error as one line; unknown keys come first, since a misspelt key is also a missing one."""
    faults = sorted(error.errors(), key=lambda fault: fault["type"] not in UNKNOWN_KEY)
    fault = faults[0]
    path = tuple(fault["loc"])
    message = fault["msg"].removeprefix("Value error, ")
    if not path:
        return message
    key = _key(namespace, path)
    if fault["type"] in UNKNOWN_KEY:
        return f"{key} is not known: write one of {', '.join(_allowed(path[:-1]))}"
    if fault["type"] == "missing":
        return f"{key} is missing"
    if fault["type"] == "value_error":
        error = fault["ctx"]["error"]
        return str(error.below(key)) if isinstance(error, SettingError) else f"{key}: {message}"
    return f"{key} is {fault['input']!r}: {message[0].lower()}{message[1:]}"


def _key(namespace: str, path: tuple[Any, ...]) -> str:
    first, *rest = map(str, path)
    return ".".join((OTHER_KEYS.get(first, namespace + first), *rest))


def _allowed(path: tuple[Any, ...]) -> list[str]:
    """The keys of the section at `path`."""
    section: Any = StageConfig
    for part in path:
        annotation = get_type_hints(section)[part]
        # A nullable section is a union of itself and None.
        section = next((each for each in get_args(annotation) if isinstance(each, type)), annotation)
    return sorted(set(get_type_hints(section)) - {*OTHER_KEYS, "model_config"})
