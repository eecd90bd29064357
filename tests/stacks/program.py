"""The whole program of a stage, run under the recording engine with the stage's own file."""

from __future__ import annotations

import functools
import json
import runpy
from collections.abc import Mapping
from typing import Any

import yaml

from tests import pulumi_engine
from tests.pulumi_engine import PROJECT, Recording
from tests.repository import ROOT

STORE: dict[str, Any] = {
    "secret_arn": "arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:ncf/mongodb-a1B2c3",
    "kms_key_arn": None,
    "database": "ncf",
    "cidr_blocks": ["10.9.0.0/24"],
    "port": 27017,
}
"""A feature store, which no stage has by default."""


def stage_file(stage: str) -> dict[str, Any]:
    """The ``config`` of a stage's file, as YAML has it."""
    document = yaml.safe_load((ROOT / f"Pulumi.{stage}.yaml").read_text(encoding="utf-8"))
    return document["config"]


def as_pulumi_hands_it_over(config: Mapping[str, Any]) -> dict[str, str]:
    """Texts as they are, and everything else as JSON."""
    return {
        key if ":" in key else f"{PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in config.items()
    }


def run_program(stage: str, config: Mapping[str, Any]) -> Recording:
    """Run ``__main__.py`` with a configuration."""

    def program() -> None:
        runpy.run_path(str(ROOT / "__main__.py"))

    return pulumi_engine.run(program, config=as_pulumi_hands_it_over(config), stack=stage)


@functools.cache
def recorded(stage: str) -> Recording:
    """What the program registers for a stage; it is run once."""
    return run_program(stage, stage_file(stage))
