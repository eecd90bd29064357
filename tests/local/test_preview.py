"""Preview: registered resources, tree, JSON and errors."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from local.deploy.errors import ProgramError, ProjectError
from local.preview import ROOT, PreviewedResource, preview, render_tree, to_json
from tests.local.projects import write_project
from tests.repository import STAGES
from tests.stacks.program import previewed

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module", params=STAGES)
def resources(request: pytest.FixtureRequest) -> list[PreviewedResource]:
    return previewed(request.param)


def test_parents_precede_children_below_the_stack(resources: list[PreviewedResource]) -> None:
    seen: set[str] = {""}
    for resource in resources:
        assert resource.parent in seen, resource.urn
        seen.add(resource.urn)

    assert [r.type for r in resources if r.parent == ""] == ["pulumi:pulumi:Stack"]


def test_every_resource_belongs_to_a_component(resources: list[PreviewedResource]) -> None:
    components = {resource.urn for resource in resources if resource.is_component}
    stack = resources[0].urn

    assert [r.urn for r in resources if not r.is_component and r.parent not in components - {stack}] == []


def test_no_input_is_unknown(resources: list[PreviewedResource]) -> None:
    assert [r.urn for r in resources if "${unknown}" in json.dumps(r.inputs)] == []


def test_json_has_type_name_urn_parent_and_inputs(resources: list[PreviewedResource]) -> None:
    listing = json.loads(json.dumps(to_json(resources)))

    assert len(listing) == len(resources)
    assert all(set(entry) == {"type", "name", "urn", "parent", "inputs"} for entry in listing)
    (bucket,) = [
        e for e in listing if (e["type"], e["name"]) == ("aws:s3/bucketPolicy:BucketPolicy", "data-tls-only")
    ]
    assert bucket["inputs"]["bucket"] == "${data.bucket}", "computed outputs are references"
    assert "arn:aws:s3:::${data}/*" in bucket["inputs"]["policy"]


def test_tree_lists_every_resource_and_counts_types(resources: list[PreviewedResource]) -> None:
    text = StringIO()
    render_tree(resources, Console(file=text, width=200))
    lines = text.getvalue().splitlines()

    counts = Counter(r.type for r in resources if not r.is_component)
    assert f"aws.sqs.Queue {counts['aws:sqs/queue:Queue']}" in {" ".join(line.split()) for line in lines}
    assert f"resources {counts.total()}" in {" ".join(line.split()) for line in lines}
    tree = "\n".join(lines)
    assert [r.name for r in resources if f" {r.name}  " not in f" {tree}"] == []


def test_command_prints_the_same_resources_without_credentials(resources: list[PreviewedResource]) -> None:
    stage = resources[0].urn.split(":")[2]

    answer = run("--stage", stage, "--json")

    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == json.loads(json.dumps(to_json(resources)))


def test_secrets_are_masked_and_assets_are_shown_by_hash(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        """
    from pathlib import Path
    Path("x.txt").write_text("hello")
    hush = pulumi.Output.secret("hush")
    aws.sns.Topic("t", display_name=hush, tags={"a": hush, "b": "open"})
    aws.s3.BucketObjectv2("o", bucket="b", key="k", source=pulumi.FileAsset("x.txt"))
    """,
    )

    by_name = {resource.name: resource.inputs for resource in preview("dev", root)}

    assert by_name["t"]["displayName"] == "[secret]"
    assert "hush" not in json.dumps(by_name)
    sha256 = hashlib.sha256(b"hello").hexdigest()
    assert by_name["o"]["source"] == {"path": "x.txt", "bytes": 5, "sha256": sha256}


def test_look_up_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="aws:index/getCallerIdentity"):
        preview("dev", write_project(tmp_path, "aws.get_caller_identity()"))


def test_unknown_stage_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ProjectError, match=rf"no stage 'staging'.*stages found: {', '.join(STAGES)}"):
        preview("staging")


@pytest.fixture
def dev_copy(tmp_path: Path) -> Path:
    """Copy of the project whose dev stage can be changed."""
    for folder in ("components", "stacks", "lambdas", "ml"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    for file in ("__main__.py", "Pulumi.yaml", "Pulumi.dev.yaml"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def change_stage(root: Path, change: Change) -> None:
    path = root / "Pulumi.dev.yaml"
    document = yaml.safe_load(path.read_text())
    change(document["config"])
    path.write_text(yaml.safe_dump(document))


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda config: config.update({"ncf:servings": config.pop("ncf:serving")}), "ncf:servings"),
        (lambda config: config.pop("ncf:protect_data"), "ncf:protect_data"),
        (lambda config: config["ncf:serving"].update(max_instance=3), r"ncf:serving\.max_instance"),
        (lambda config: config["ncf:training"].pop("floors"), r"ncf:training\.floors"),
        (lambda config: config.pop("aws:region"), "aws:region"),
    ],
    ids=["unknown", "missing", "unknown nested", "missing nested", "no region"],
)
def test_unknown_or_missing_key_is_named(dev_copy: Path, change: Change, key: str) -> None:
    change_stage(dev_copy, change)

    with pytest.raises(ProjectError, match=rf"{key} ") as refused:
        preview("dev", dev_copy)
    assert "\n" not in str(refused.value)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}  # no credentials, no profile
    command = [sys.executable, "-m", "local", "preview", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_command_error_is_one_line_with_exit_code_2() -> None:
    answer = run("--stage", "staging")

    assert answer.returncode == 2
    assert answer.stdout == ""
    assert len(answer.stderr.strip().splitlines()) == 1
    assert ", ".join(STAGES) in answer.stderr
