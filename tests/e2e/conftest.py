from collections.abc import Iterator

import pytest

from local.aws import STATE_FILE
from tests.e2e.platform import Platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One served platform for all of these tests; each leaves it serving."""
    served = Platform.start(tmp_path_factory.mktemp("platform"))
    yield served
    survivors = served.stop()
    assert survivors == [], f"outlived Ctrl-C: {[(p.pid, p.cmdline()) for p in survivors]}"
    assert served.process.returncode == 0
    assert not (served.folder / STATE_FILE).exists(), "other terminals still find the stage"
