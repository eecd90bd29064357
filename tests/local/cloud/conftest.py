"""One embedded cloud a test module: moto's state belongs to the process, so there is never a second one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.cloud import Cloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A running cloud with every plane."""
    with Cloud(root=tmp_path_factory.mktemp("cloud")).start() as running:
        yield running
