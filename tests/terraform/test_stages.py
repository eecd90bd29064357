"""The real AWS provider deploys, re-plans, tags and destroys every stage with the printed settings.

Skipped without the `terraform` program and a folder of provider plugins, ``TERRAFORM_PLUGIN_DIR``. It takes
minutes per stage, because the provider waits for eventual consistency.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from emulator.app import Emulator
from local import clients
from local.deploy.project import load_stage
from tests.repository import ROOT, STAGES
from tests.terraform.configuration import Configuration, document
from tests.terraform.remainder import remaining_resources

PLUGINS = os.environ.get("TERRAFORM_PLUGIN_DIR", "")
PROVIDER = "registry.terraform.io/hashicorp/aws"

pytestmark = [
    pytest.mark.terraform,
    pytest.mark.skipif(not (PLUGINS and shutil.which("terraform")), reason="TERRAFORM_PLUGIN_DIR is not set"),
]


class Terraform:
    """terraform in one folder."""

    def __init__(self, folder: Path, provider: dict[str, Any]) -> None:
        self.folder = folder
        self.provider = provider
        self.version = sorted(path.name for path in (Path(PLUGINS) / PROVIDER).iterdir())[-1]
        self.resources: dict[str, Any] = {}

    def write(self, tags: dict[str, str]) -> None:
        """Write the configuration with these default tags."""
        provider = {**self.provider, "default_tags": [{"tags": tags}]}
        content = document(self.resources, provider, self.version)
        (self.folder / "main.tf.json").write_text(content, encoding="utf-8")

    def run(self, *arguments: str) -> str:
        """Run terraform; returns its output."""
        ended = subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "TF_CLI_CONFIG_FILE": os.devnull, "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, (
            f"terraform {arguments[0]}: {ended.stdout[-2000:]}{ended.stderr[-4000:]}"
        )
        return ended.stdout

    def differences(self) -> list[str]:
        """Addresses of the resources that a plan would change."""
        self.run("plan", "-out=plan", "-input=false")
        changes = json.loads(self.run("show", "-json", "plan")).get("resource_changes", [])
        return [each["address"] for each in changes if each["change"]["actions"] != ["no-op"]]


@pytest.fixture(params=STAGES)
def terraform(request: pytest.FixtureRequest, emulator: Emulator, tmp_path: Path) -> Terraform:
    """Initialised folder with the resources of a stage."""
    stage = load_stage(request.param, ROOT)
    running = Terraform(tmp_path, clients.provider_settings(emulator.url, stage.region))
    running.write({})
    running.run("init", f"-plugin-dir={PLUGINS}", "-input=false")
    schemas = json.loads(running.run("providers", "schema", "-json"))["provider_schemas"]
    configuration = Configuration(stage, schemas[PROVIDER]["resource_schemas"], tmp_path)
    # Versions before 6 read bucket tags from S3; this resource is one of S3 Control in every version.
    account = {"aws_s3_account_public_access_block": {"account": {"block_public_acls": True}}}
    running.resources = configuration.resources() | account
    return running


def test_apply_plan_tag_and_destroy(terraform: Terraform, emulator: Emulator) -> None:
    before = remaining_resources(emulator)
    for tags in ({"Stage": "first"}, {"Stage": "second", "Added": "yes"}, {"Stage": "third"}):
        terraform.write(tags)
        terraform.run("apply", "-auto-approve", "-input=false")
        assert terraform.differences() == []
    terraform.run("destroy", "-auto-approve", "-input=false")
    assert remaining_resources(emulator) == before
