from collections.abc import Iterator

import pytest

from local.aws import STATE_FILE
from tests.e2e.platform import Platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One served platform for all of these tests; each test leaves it serving."""
    with Platform.serve(tmp_path_factory.mktemp("platform")) as served:
        yield served
        survivors = served.processes.interrupt()
        assert survivors == [], f"still running after Ctrl-C: {[(p.pid, p.cmdline()) for p in survivors]}"
        assert served.processes.root.returncode == 0
        assert not (served.folder / STATE_FILE).exists(), "other terminals still find the stage"
