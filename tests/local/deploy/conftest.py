"""Fixtures: small Pulumi projects, and an emulator to deploy them to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulator.app import PROVIDERS, Emulator
from local.deploy.engine import Deployment, deploy
from tests.local.projects import REGION, write_project

MakeProject = Callable[..., Path]
DeploySource = Callable[[str], Deployment]


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    """Function that writes a project with a `dev` stage whose program is the given source."""
    return functools.partial(write_project, tmp_path)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Emulator without its SageMaker provider: endpoints are in service at once, without a container."""
    providers = {name: factory for name, factory in PROVIDERS.items() if name != "sagemaker"}
    with Emulator(
        region=REGION, root=tmp_path_factory.mktemp("emulator"), providers=providers
    ).start() as running:
        yield running


@pytest.fixture
def deploy_source(make_project: MakeProject, emulator: Emulator) -> DeploySource:
    """Function that deploys a program given as source; unused inputs are errors."""
    return lambda source: deploy("dev", root=make_project(source), emulator=emulator)
