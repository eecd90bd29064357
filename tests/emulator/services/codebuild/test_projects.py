"""Projects as the AWS provider creates and deletes them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from tests.emulator.services.codebuild.conftest import IMAGE, PROBE
from tests.emulator.support import make_role


@pytest.fixture(scope="module")
def codebuild(emulator: Emulator) -> Any:
    return emulator.client("codebuild")


@pytest.fixture(scope="module")
def role(emulator: Emulator) -> str:
    return make_role(emulator, "projects", "codebuild.amazonaws.com")


def create(codebuild: Any, role: str, name: str, source: dict[str, Any]) -> str:
    environment = {"type": "LINUX_CONTAINER", "image": IMAGE, "computeType": "BUILD_GENERAL1_SMALL"}
    made = codebuild.create_project(
        name=name,
        source=source,
        artifacts={"type": "NO_ARTIFACTS"},
        environment=environment,
        serviceRole=role,
    )
    return str(made["project"]["arn"])


def test_project_without_a_source_has_no_location(codebuild: Any, role: str) -> None:
    arn = create(codebuild, role, "plain", {"type": "NO_SOURCE", "buildspec": PROBE})
    (project,) = codebuild.batch_get_projects(names=[arn])["projects"]
    assert "location" not in project["source"]


def test_project_without_a_source_needs_an_inline_buildspec(codebuild: Any, role: str) -> None:
    with pytest.raises(ClientError, match="InvalidInputException"):
        create(codebuild, role, "bad", {"type": "NO_SOURCE", "buildspec": "buildspec.yml"})
    with pytest.raises(ClientError, match="InvalidInputException"):
        create(codebuild, role, "bad", {"type": "NO_SOURCE", "buildspec": PROBE, "location": "b/k.zip"})


def test_project_is_deleted_by_its_arn(codebuild: Any, role: str) -> None:
    arn = create(codebuild, role, "by-arn", {"type": "NO_SOURCE", "buildspec": PROBE})
    codebuild.delete_project(name=arn)
    assert codebuild.batch_get_projects(names=["by-arn"])["projects"] == []
    codebuild.delete_project(name=arn)
