"""Emulator of the Terraform tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator.app import Emulator


@pytest.fixture
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Emulator without resources."""
    with Emulator(root=tmp_path_factory.mktemp("emulator")).start() as running:
        yield running
