"""One emulator per test module. A process can run only one at a time: moto's state is global."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator.app import Emulator


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Emulator with every provider."""
    with Emulator(root=tmp_path_factory.mktemp("emulator")).start() as running:
        yield running
