"""The typed stage: what `Pulumi.<stage>.yaml` may say, read once and checked whole.

Stages differ by these fields and by nothing else: no code asks which stage it is in.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, Any, Self, get_args

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env
from pydantic import Field, PlainValidator, ValidationError, model_validator

from ml.settings.fields import SettingError, read
from stacks.sections import (
    ApiConfig,
    FunctionsConfig,
    NetworkConfig,
    OperationsConfig,
    Section,
    ServingConfig,
    StorageConfig,
    Tags,
    TrainingConfig,
)
from stacks.spark_sections import FeatureStoreConfig, SparkConfig

# Fields that are no keys of our own.
SAID_ELSEWHERE = {"stage": "the stack's name", "region": "aws:region", "tags": "aws:defaultTags.tags"}


class ConfigError(pulumi.RunError):
    """The stage's configuration is wrong. One line names the key; Pulumi prints it without a traceback."""


class StageConfig(Section):
    """One stage, whole."""

    stage: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,9}$")]
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    tags: Tags
    protect_data: bool
    storage: StorageConfig
    network: NetworkConfig
    spark: SparkConfig
    feature_store: FeatureStoreConfig | None
    training: Annotated[TrainingConfig, PlainValidator(partial(read, TrainingConfig))]
    serving: ServingConfig
    api: ApiConfig
    functions: FunctionsConfig
    operations: OperationsConfig

    @model_validator(mode="after")
    def _everything_is_of_this_stage_and_region(self) -> Self:
        if self.tags.Stage != self.stage:
            raise ValueError(f"aws:defaultTags.tags.Stage is {self.tags.Stage!r} in the stage {self.stage!r}")
        if f":{self.region}:" not in self.functions.powertools_layer_arn:
            raise ValueError(f"ncf:functions.powertools_layer_arn is not in the region {self.region}")
        for zone in self.network.availability_zones:
            if not zone.startswith(self.region):
                raise ValueError(f"ncf:network.availability_zones: {zone} is not in the region {self.region}")
        # The network reaches Secrets Manager of its own region only.
        if self.feature_store and f":{self.region}:" not in self.feature_store.secret_arn:
            raise ValueError(f"ncf:feature_store.secret_arn is not in the region {self.region}")
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
        **({"region": values["aws:region"]} if "aws:region" in values else {}),
        "tags": (_parsed(values.get("aws:defaultTags", "{}")) or {}).get("tags", {}),
    }
    for key, place in SAID_ELSEWHERE.items():
        if key in own:
            raise ConfigError(f"{namespace}{key} is not known: {place} says it")
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
    message = fault["msg"].removeprefix("Value error, ")
    if not path:
        return message
    key = _key(namespace, path)
    if fault["type"] == "extra_forbidden":
        return f"{key} is not known: write one of {', '.join(_allowed(path[:-1]))}"
    if fault["type"] == "missing":
        return f"{key} is missing"
    if fault["type"] == "value_error":
        error = fault["ctx"]["error"]
        return str(error.below(key)) if isinstance(error, SettingError) else f"{key}: {message}"
    return f"{key} is {fault['input']!r}: {message[0].lower()}{message[1:]}"


def _key(namespace: str, path: tuple[Any, ...]) -> str:
    first, *rest = map(str, path)
    return ".".join((SAID_ELSEWHERE.get(first, namespace + first), *rest))


def _allowed(path: tuple[Any, ...]) -> list[str]:
    """The keys of the section at `path`."""
    section: Any = StageConfig
    for part in path:
        annotation = section.model_fields[part].annotation
        # A section that may be null is a union of itself and None.
        section = next((each for each in get_args(annotation) if isinstance(each, type)), annotation)
    return sorted(set(section.model_fields) - set(SAID_ELSEWHERE))
