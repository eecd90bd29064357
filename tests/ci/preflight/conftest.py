"""Fixtures: an emulator, and a JSON service with the answers of a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator.app import Emulator
from tests.ci.preflight.json_service import Answers, json_service


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(root=tmp_path_factory.mktemp("emulator")).start() as running:
        yield running


@pytest.fixture
def answers() -> Answers:
    return {}


@pytest.fixture
def fake_url(answers: Answers) -> Iterator[str]:
    with json_service(answers) as url:
        yield url
