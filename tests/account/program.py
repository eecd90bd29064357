"""The account program, recorded, with the policies of its roles."""

from __future__ import annotations

import functools
import json
import runpy
from typing import Any

import yaml

from tests import pulumi_engine
from tests.pulumi_engine import ACCOUNT, REGION, Recording
from tests.repository import ROOT
from tests.stacks.program import engine_config

JENKINS = f"arn:aws:iam::{ACCOUNT}:role/jenkins-agents"


def example(**changes: Any) -> dict[str, str]:
    """Engine configuration of `account/Pulumi.example.yaml`."""
    config = yaml.safe_load((ROOT / "account/Pulumi.example.yaml").read_text())["config"]
    config["ncf-account:jenkins_principal_arn"] = JENKINS
    config |= {f"ncf-account:{key}": value for key, value in changes.items()}
    return engine_config(config)


def run_program(**changes: Any) -> Recording:
    def program() -> None:
        runpy.run_path(str(ROOT / "account/__main__.py"))

    return pulumi_engine.run(program, config=example(**changes), stack="example", project="ncf-account")


@functools.cache
def recorded() -> Recording:
    return run_program()


def trust(role: str) -> dict[str, Any]:
    return json.loads(recorded().one("aws:iam/role:Role", role).inputs["assumeRolePolicy"])


def policies(role: str, recording: Recording | None = None) -> list[str]:
    """Inline policies of a role."""
    recording = recording or recorded()
    name = recording.one("aws:iam/role:Role", role).outputs["name"]
    found = [each for each in recording.of("aws:iam/rolePolicy:RolePolicy") if each.inputs["role"] == name]
    assert found
    return [each.inputs["policy"] for each in found]


def arn(service: str, resource: str, region: str = REGION, account: str = ACCOUNT) -> str:
    return f"arn:aws:{service}:{region}:{account}:{resource}"
