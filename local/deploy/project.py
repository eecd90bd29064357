"""Project and stage files (`Pulumi.yaml`, `Pulumi.<stage>.yaml`), interpreted like the Pulumi engine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local.deploy import naming
from local.deploy.errors import ProjectError

PROJECT_FILE = "Pulumi.yaml"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage of the project and its configuration.

    Attributes:
        config: `namespace:key` to text in the format of the engine; structured values are JSON.
        name_pattern: auto-naming pattern of resources without a given name.
    """

    project: str
    name: str
    root: Path
    config: dict[str, str]
    name_pattern: str = naming.DEFAULT_PATTERN

    @property
    def region(self) -> str:
        """AWS region of the stage."""
        try:
            return self.config["aws:region"]
        except KeyError:
            raise ProjectError(f"{stage_file(self.name)}: aws:region is missing") from None

    @property
    def default_tags(self) -> dict[str, str]:
        """Default tags of the AWS provider."""
        section = json.loads(self.config.get("aws:defaultTags", "{}"))
        return dict(section.get("tags", {}))


def stage_file(stage: str) -> str:
    """Name of a stage's file."""
    return f"Pulumi.{stage}.yaml"


def stages(root: Path) -> list[str]:
    """Names of the stages that have a file, sorted."""
    return sorted(path.name.split(".", 2)[1] for path in root.glob("Pulumi.*.yaml"))


def load_stage(stage: str, root: Path) -> Stage:
    """Read a stage.

    Raises:
        ProjectError: the stage does not exist (the message lists the existing ones), a file is not valid
            YAML, or a value is encrypted, which only Pulumi's secrets provider can read.
    """
    if stage not in stages(root):
        found = ", ".join(stages(root)) or "none"
        raise ProjectError(f"no stage {stage!r}: there is no {stage_file(stage)} (stages found: {found})")
    project = _read(root / PROJECT_FILE)
    if "name" not in project:
        raise ProjectError(f"{PROJECT_FILE}: name is missing")
    entries = _read(root / stage_file(stage)).get("config") or {}
    config = {_full_key(key, project["name"]): _text(key, value, stage) for key, value in entries.items()}
    return Stage(
        project=project["name"],
        name=stage,
        root=root,
        config=config,
        name_pattern=_name_pattern(project.get("config") or {}),
    )


def _name_pattern(project_config: dict[str, Any]) -> str:
    """Auto-naming pattern of the project file, which may not configure anything else."""
    pattern = naming.DEFAULT_PATTERN
    for key, value in project_config.items():
        match (key, value):
            case ("pulumi:autonaming", {"value": {"pattern": str(pattern)}}):
                pass
            case _:
                raise ProjectError(f"{PROJECT_FILE}: config {key}: write it into Pulumi.<stage>.yaml")
    return pattern


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ProjectError(f"{path.name} is missing in {path.parent}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ProjectError(f"{path.name}{line}: not YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(document, dict):
        raise ProjectError(f"{path.name}: a mapping is expected")
    return document


def _full_key(key: str, project: str) -> str:
    return key if ":" in key else f"{project}:{key}"


def _text(key: str, value: Any, stage: str) -> str:
    if _is_encrypted(value):
        raise ProjectError(
            f"{stage_file(stage)}: {key} is encrypted (secure): only Pulumi's secrets provider can read it"
        )
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str)  # true and 3 have the same form in JSON and in the engine


def _is_encrypted(value: Any) -> bool:
    if isinstance(value, dict):
        return set(value) == {"secure"} or any(map(_is_encrypted, value.values()))
    return isinstance(value, list) and any(map(_is_encrypted, value))
