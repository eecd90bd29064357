"""Fixtures: `recommend` with fake SageMaker Runtime and S3 clients, and its logic module without AWS."""

from __future__ import annotations

from collections.abc import Mapping
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
    return loaded(runtime, s3, monkeypatch, ENVIRONMENT)


def loaded(
    runtime: FakeRuntime, s3: FakeS3, monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]
) -> ModuleType:
    module = load("recommend", "handler", monkeypatch, environment)
    monkeypatch.setattr(module, "runtime", runtime)
    monkeypatch.setattr(module, "s3", s3)
    key = module.RecordingKey(s3, environment["FALLBACK_BUCKET"], environment["RECORDING_KEY"])
    monkeypatch.setattr(module, "recording_key", key)
    return module


@pytest.fixture
def invoke(handler: ModuleType) -> Invoke:
    return lambda request: handler.handler(request, FakeContext())


@pytest.fixture
def invoke_and_record(runtime: FakeRuntime, s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """`recommend` of a stage that records answers."""
    module = loaded(runtime, s3, monkeypatch, ENVIRONMENT | {"RECORD_ANSWERS": "true"})
    return lambda request: module.handler(request, FakeContext())


@pytest.fixture(scope="module")
def logic() -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield load("recommend", "logic", monkeypatch)
