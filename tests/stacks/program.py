"""Run the program of a stage with its own configuration file."""

from __future__ import annotations

import functools
import json
import runpy
from collections.abc import Mapping
from typing import Any

import botocore.session
import yaml
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from local.preview import PreviewedResource, preview
from tests import pulumi_engine
from tests.pulumi_engine import PROJECT, Recording
from tests.repository import ROOT

# Example of the section `feature_store`, which is null in the stage files.
STORE: dict[str, Any] = {
    "secret_arn": "arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:ncf/mongodb-a1B2c3",
    "kms_key_arn": None,
    "database": "ncf",
    "cidr_blocks": ["10.9.0.0/24"],
    "port": 27017,
}


def stage_file(stage: str) -> dict[str, Any]:
    """The ``config`` of a stage's file."""
    document = yaml.safe_load((ROOT / f"Pulumi.{stage}.yaml").read_text(encoding="utf-8"))
    return document["config"]


def section(stage: str, name: str) -> dict[str, Any]:
    """A section of a stage's file."""
    return stage_file(stage)[f"ncf:{name}"]


def engine_config(config: Mapping[str, Any]) -> dict[str, str]:
    """Configuration in the engine's format: strings unchanged, null as empty text, other values as JSON."""
    return {key if ":" in key else f"{PROJECT}:{key}": _engine_value(value) for key, value in config.items()}


def _engine_value(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def run_program(stage: str, config: Mapping[str, Any]) -> Recording:
    """Run ``__main__.py`` with a configuration."""

    def program() -> None:
        runpy.run_path(str(ROOT / "__main__.py"))

    return pulumi_engine.run(program, config=engine_config(config), stack=stage)


@functools.cache
def recorded(stage: str) -> Recording:
    """Resources and stack outputs of a stage; its program runs once per process."""
    return run_program(stage, stage_file(stage))


@functools.cache
def previewed(stage: str) -> list[PreviewedResource]:
    """Resources of a stage as `local.preview` shows them; its program runs once per process."""
    return preview(stage)


@functools.cache
def service_model(service: str) -> ServiceModel:
    """Botocore's model of a service; reading that of a large service takes a tenth of a second."""
    return botocore.session.get_session().get_service_model(service)


def request_errors(service: str, operation: str, parameters: dict[str, Any]) -> str:
    """Validation errors of a request by the service's model; empty for a valid one."""
    shape = service_model(service).operation_model(operation).input_shape
    return ParamValidator().validate(parameters, shape).generate_report()
