"""checkov finds nothing in a Terraform plan of a stage that `policies/checkov.yaml` does not explain.

Skipped without `terraform`, ``TERRAFORM_PLUGIN_DIR`` and ``CHECKOV``: the program of checkov, in a
separate environment because of its many pinned packages. The plan needs neither AWS nor the emulator.
"""

from __future__ import annotations

import fnmatch
import functools
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml

from local.deploy.project import load_stage
from local.replacements.measure import SETTINGS
from tests.repository import ROOT, STAGES
from tests.terraform.configuration import Configuration, document
from tests.terraform.test_stages import PLUGINS, PROVIDER, Terraform

CHECKOV = os.environ.get("CHECKOV", "")
WANTED = yaml.safe_load((ROOT / "policies/checkov.yaml").read_text(encoding="utf-8"))

pytestmark = [
    pytest.mark.terraform,
    pytest.mark.skipif(
        not (PLUGINS and CHECKOV and shutil.which("terraform")),
        reason="TERRAFORM_PLUGIN_DIR or CHECKOV is not set",
    ),
]


@functools.cache
def failed(stage: str) -> frozenset[tuple[str, str]]:
    """Check and resource of each failed check."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        terraform = Terraform(folder, SETTINGS)
        (folder / "main.tf.json").write_text(document({}, SETTINGS, terraform.version))
        terraform.run("init", f"-plugin-dir={PLUGINS}", "-input=false")
        schemas = json.loads(terraform.run("providers", "schema", "-json"))["provider_schemas"]
        settings = load_stage(stage, ROOT)
        resources = Configuration(settings, schemas[PROVIDER]["resource_schemas"], folder).resources()
        (folder / "main.tf.json").write_text(document(resources, SETTINGS, terraform.version))
        terraform.run("plan", "-refresh=false", "-input=false", "-out=plan")
        (folder / "plan.json").write_text(terraform.run("show", "-json", "plan"))
        command = [CHECKOV, "-f", "plan.json", "--framework", "terraform_plan", "--output", "json"]
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    results = json.loads(ended.stdout)["results"]
    assert results["passed_checks"], ended.stderr
    return frozenset((each["check_id"], each["resource"]) for each in results["failed_checks"])


def explains(entry: dict[str, str], check: str, resource: str) -> bool:
    return entry["check"] == check and fnmatch.fnmatchcase(resource, entry["resource"])


@pytest.mark.parametrize("stage", STAGES)
def test_every_failed_check_is_explained(stage: str) -> None:
    found = failed(stage)
    assert [pair for pair in sorted(found) if not any(explains(entry, *pair) for entry in WANTED)] == []


def test_every_explanation_is_needed_and_has_a_reason() -> None:
    found = {pair for stage in STAGES for pair in failed(stage)}
    assert [entry for entry in WANTED if not any(explains(entry, *pair) for pair in found)] == []
    assert all(entry["reason"].strip() for entry in WANTED)
