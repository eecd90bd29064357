"""An artifact whose index cannot be used stops SageMaker's serving stack, and the emulator's container."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bench.serving_stack import Server, emulated, toolkit
from tests.indexed_artifact import DAMAGED, damage, write_indexed

STOP_TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def with_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    write_indexed(folder)
    return folder


def claim_another_library(model: Path) -> None:
    path = model / "model.json"
    document = json.loads(path.read_text())
    document["index"]["library"]["version"] = "1.0.0"
    path.write_text(json.dumps(document))


OTHER_LIBRARY = "index: written by faiss 1.0.0, and"
FAULTS = {DAMAGED: damage, OTHER_LIBRARY: claim_another_library}


def stopped_log(server: AbstractContextManager[Server]) -> str:
    """The log of a container that stops, before or after TorchServe answers the first pings."""
    try:
        with server as started:
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while started.ping() and time.monotonic() < deadline:
                time.sleep(0.2)
            if started.ping():
                pytest.fail("the container still answers")
            return started.log.read_text()
    except AssertionError as error:  # of a server that did not become healthy, with its log
        return str(error)


@pytest.mark.parametrize(
    ("stack", "message"), [("toolkit", DAMAGED), ("emulator", DAMAGED), ("emulator", OTHER_LIBRARY)]
)
def test_container_stops_and_its_log_names_the_file(
    with_index: Path, container_python: Path, tmp_path: Path, stack: str, message: str
) -> None:
    model, folder = tmp_path / "model", tmp_path / "stack"
    shutil.copytree(with_index, model)
    folder.mkdir()
    FAULTS[message](model)
    server = toolkit(container_python, model, folder) if stack == "toolkit" else emulated(model, folder)
    assert message in stopped_log(server)
