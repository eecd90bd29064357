"""Names of a stage's resources: from its configuration file and the outputs of its stack."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

OUTPUTS = (
    "data_bucket",
    "artifacts_bucket",
    "logs_bucket",
    "endpoint_name",
    "pipeline_name",
    "model_package_group",
    "codebuild_project",
    "preparation_job",
)


class StageError(ValueError):
    """The stage cannot be torn down; the message says why and what to do."""


@dataclass(frozen=True)
class DeployedStage:
    """A stage that does not protect its data.

    Attributes:
        region: region of its resources.
        tags: tags of its resources.
        outputs: stack outputs; those of `OUTPUTS` are present.
    """

    name: str
    region: str
    tags: Mapping[str, str]
    outputs: Mapping[str, Any]

    @property
    def buckets(self) -> tuple[str, ...]:
        """Names of the buckets."""
        return tuple(self.outputs[f"{name}_bucket"] for name in ("data", "artifacts", "logs"))


def load_stage(name: str, root: Path, read_outputs: Callable[[str], Mapping[str, Any]]) -> DeployedStage:
    """Read ``Pulumi.<name>.yaml`` in `root`, and the outputs of the stack.

    Raises:
        StageError: there is no such stage, it protects its data, or an output is missing.
    """
    path = root / f"Pulumi.{name}.yaml"
    if not path.is_file():
        stages = sorted(each.stem.removeprefix("Pulumi.") for each in root.glob("Pulumi.*.yaml"))
        raise StageError(f"{path.name}: no such file; the stages are {', '.join(stages)}")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))["config"]
    if config.get("ncf:protect_data") is not False:
        raise StageError(
            f"{name} protects its data: set ncf:protect_data to false in {path.name} and run pulumi up first"
        )
    outputs = read_outputs(name)
    if missing := [key for key in OUTPUTS if not outputs.get(key)]:
        raise StageError(
            f"the stack {name} has no output {missing[0]}: run pulumi up with this version first"
        )
    return DeployedStage(name, config["aws:region"], config["aws:defaultTags"]["tags"], outputs)


def stack_outputs(name: str) -> Mapping[str, Any]:
    """Outputs of a stack, from the Pulumi CLI.

    Raises:
        StageError: the CLI is not installed or has no such stack.
    """
    command = ["pulumi", "stack", "output", "--json", "--stack", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise StageError("pulumi: command not found; install the Pulumi CLI, or give --outputs") from None
    if done.returncode:
        raise StageError(f"{' '.join(command)}: {' '.join(done.stderr.split())}")
    return outputs_of(done.stdout, "pulumi stack output")


def outputs_of(text: str, source: str) -> Mapping[str, Any]:
    """Outputs in JSON text: those of the CLI, or ``outputs`` of the emulator's ``.local/stage.json``.

    Raises:
        StageError: the text is not a JSON object.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise StageError(f"{source}: not JSON ({error})") from None
    if not isinstance(document, dict):
        raise StageError(f"{source}: not a JSON object")
    inner = document.get("outputs")
    return inner if isinstance(inner, dict) else document
