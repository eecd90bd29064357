"""Project and stage files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.deploy.errors import ProjectError
from local.deploy.project import load_stage, stages


def write(
    root: Path, stage: str = "config:\n  aws:region: eu-west-1\n", project: str = "name: tiny\n"
) -> Path:
    (root / "Pulumi.yaml").write_text(project)
    (root / "Pulumi.dev.yaml").write_text(stage)
    return root


def test_unknown_stage_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "Pulumi.prod.yaml").touch()

    with pytest.raises(ProjectError, match=r"no stage 'test'.*stages found: dev, prod"):
        load_stage("test", tmp_path)


def test_project_file_is_not_a_stage(tmp_path: Path) -> None:
    assert stages(write(tmp_path)) == ["dev"]


def test_config_has_the_format_of_the_engine(tmp_path: Path) -> None:
    text = "config:\n  tiny:on: true\n  tiny:n: 3\n  tiny:a: {b: [1, null]}\n  short: x\n  tiny:none: null\n"
    stage = load_stage("dev", write(tmp_path, text))

    assert stage.config["tiny:on"] == "true"
    assert stage.config["tiny:n"] == "3"
    assert json.loads(stage.config["tiny:a"]) == {"b": [1, None]}
    assert stage.config["tiny:none"] == ""  # the CLI has no null for a whole value
    assert stage.config["tiny:short"] == "x", "a key without a namespace belongs to the project"


def test_encrypted_value_is_refused(tmp_path: Path) -> None:
    text = "config:\n  tiny:mail:\n    address: {secure: AAABAK}\n"

    with pytest.raises(ProjectError, match=r"Pulumi\.dev\.yaml: tiny:mail is encrypted"):
        load_stage("dev", write(tmp_path, text))


def test_invalid_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"Pulumi\.dev\.yaml, line 2: not YAML"):
        load_stage("dev", write(tmp_path, "config:\n\ta: 1\n"))


def test_stage_without_a_region_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"Pulumi\.dev\.yaml: aws:region is missing"):
        _ = load_stage("dev", write(tmp_path, "config: {}\n")).region


def test_auto_naming_pattern_of_the_project_is_used(tmp_path: Path) -> None:
    project = "name: tiny\nconfig:\n  pulumi:autonaming: {value: {pattern: '${stack}-${name}'}}\n"

    assert load_stage("dev", write(tmp_path, project=project)).name_pattern == "${stack}-${name}"


@pytest.mark.parametrize("entry", ["tiny:a: 1", "pulumi:autonaming: {value: {mode: disabled}}"])
def test_other_config_of_the_project_is_refused(tmp_path: Path, entry: str) -> None:
    project = f"name: tiny\nconfig:\n  {entry}\n"

    with pytest.raises(ProjectError, match=rf"Pulumi\.yaml: config {entry.partition(': ')[0]}:"):
        load_stage("dev", write(tmp_path, project=project))
