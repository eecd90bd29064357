"""Fixtures of the container tests (`make test-container`); without CONTAINER_PYTHON none is collected."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.serving_stack import Server, emulated, toolkit
from ml.serving import inference
from ml.serving.store import Recommender
from tests.ml.ncf.conftest import channels, model_dir, prepared_run  # noqa: F401 -- fixtures of the model's tests

CONTAINER_PYTHON = os.environ.get("CONTAINER_PYTHON")

if CONTAINER_PYTHON is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def container_python() -> Path:
    """Interpreter of the environment with SageMaker's serving stack."""
    assert CONTAINER_PYTHON
    return Path(CONTAINER_PYTHON)


@pytest.fixture(scope="session")
def container(
    container_python: Path,
    model_dir: Path,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """A trained artifact, served by SageMaker's serving stack."""
    folder = tmp_path_factory.mktemp("toolkit")
    with toolkit(container_python, model_dir, folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def emulator(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:  # noqa: F811
    """The same artifact, served by the emulator."""
    with emulated(model_dir, tmp_path_factory.mktemp("emulator")) as server:
        yield server


@pytest.fixture(scope="session")
def recommender(model_dir: Path) -> Recommender:  # noqa: F811
    """The same artifact, loaded in this process."""
    return inference.model_fn(str(model_dir))
