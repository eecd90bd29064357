"""Small Pulumi projects in a folder, and an embedded cloud to deploy them to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.cloud.planes import all_planes
from local.cloud.sagemaker.plane import SageMakerPlane
from local.cloud.server import Cloud
from local.deploy.engine import Deployment, deploy
from tests.local.projects import REGION, write_project

MakeProject = Callable[..., Path]
DeploySource = Callable[[str], Deployment]


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    """Writes a project with a `dev` stage whose program is the given source."""
    return functools.partial(write_project, tmp_path)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The embedded cloud, with endpoints that are in service at once: no container is started for them."""
    planes = [plane for plane in all_planes() if plane is not SageMakerPlane]
    with Cloud(region=REGION, root=tmp_path_factory.mktemp("cloud"), planes=planes).start() as running:
        yield running


@pytest.fixture
def deploy_source(make_project: MakeProject, cloud: Cloud) -> DeploySource:
    """Deploys a program given as source; every input must be honoured."""
    return lambda source: deploy("dev", root=make_project(source), cloud=cloud)
