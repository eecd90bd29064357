"""Fixtures: `recommend` with fake SageMaker Runtime and S3 clients, and its logic module without AWS."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.lambdas.fake_s3 import FakeS3
from tests.lambdas.functions import FakeContext, load
from tests.lambdas.recommend.api import ENVIRONMENT, FakeRuntime, Invoke


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


@pytest.fixture
def handler(runtime: FakeRuntime, s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load("recommend", "handler", monkeypatch, ENVIRONMENT)
    monkeypatch.setattr(module, "runtime", runtime)
    monkeypatch.setattr(module, "s3", s3)
    return module


@pytest.fixture
def invoke(handler: ModuleType) -> Invoke:
    return lambda request: handler.handler(request, FakeContext())


@pytest.fixture(scope="module")
def logic() -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield load("recommend", "logic", monkeypatch)
