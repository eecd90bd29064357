"""Fixtures of the end-to-end tests: one served platform."""

from collections.abc import Iterator

import pytest

from local.aws import STATE_FILE
from tests.e2e.platform import Inbox, ServedPlatform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPlatform]:
    """Served platform that the tests of a file share. It is stopped with SIGINT after the last of them."""
    with ServedPlatform.serve(tmp_path_factory.mktemp("platform")) as served:
        yield served
        survivors = served.processes.interrupt()
        assert survivors == [], f"still running after Ctrl-C: {[(p.pid, p.cmdline()) for p in survivors]}"
        assert served.processes.root.returncode == 0
        assert not (served.folder / STATE_FILE).exists(), "the state file was not deleted"


@pytest.fixture(scope="module")
def inbox(platform: ServedPlatform) -> Inbox:
    """Receives the notifications of the alarm topic from its first use on."""
    return Inbox(platform.stage)
