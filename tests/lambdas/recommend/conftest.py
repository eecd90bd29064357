"""Fixtures: `recommend` with a fake SageMaker Runtime client, and its logic module without AWS."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lambdas.functions import FakeContext, load
from tests.lambdas.recommend.api import FakeRuntime, Invoke


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
def invoke(runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    module = load("recommend", "handler", monkeypatch, {"ENDPOINT_NAME": "ncf-dev"})
    monkeypatch.setattr(module, "runtime", runtime)
    return lambda request: module.handler(request, FakeContext())


@pytest.fixture(scope="module")
def logic() -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield load("recommend", "logic", monkeypatch)
