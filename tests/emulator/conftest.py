"""One emulator per test module; moto's state is global to the process, so there is never a second one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator.app import Emulator


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Emulator with every provider."""
    with Emulator(root=tmp_path_factory.mktemp("emulator")).start() as running:
        yield running
