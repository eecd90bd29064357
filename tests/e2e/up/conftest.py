"""Fixtures of the tests of `make up`: one served platform, whose tests run in the order of their files."""

from collections.abc import Iterator

import pytest

from local.aws import STATE_FILE
from tests.e2e.platform import Inbox, ServedPlatform


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPlatform]:
    """Served platform of all tests. It is stopped with SIGINT after the last of them."""
    with ServedPlatform.serve(tmp_path_factory.mktemp("platform")) as served:
        yield served
        survivors = served.processes.interrupt()
        assert survivors == [], f"still running after Ctrl-C: {[(p.pid, p.cmdline()) for p in survivors]}"
        assert served.processes.root.returncode == 0
        assert not (served.folder / STATE_FILE).exists(), "the state file was not deleted"


@pytest.fixture(scope="package")
def inbox(platform: ServedPlatform) -> Inbox:
    """Receives the notifications of the alarm topic from its first use on."""
    return Inbox(platform.stage)
