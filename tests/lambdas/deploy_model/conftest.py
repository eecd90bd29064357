"""Fixtures: `deploy_model` with fake SageMaker and S3 clients, and its logic module without AWS."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lambdas.deploy_model.calls import ENDPOINT, ENVIRONMENT, Invoke
from tests.lambdas.deploy_model.fake_sagemaker import REPORT_FOLDER, FakeSageMaker
from tests.lambdas.fake_s3 import FakeS3
from tests.lambdas.functions import FakeContext, load

REPORT_KEY = f"{REPORT_FOLDER}/evaluation.json".removeprefix("s3://artifacts/")


@pytest.fixture
def fake() -> FakeSageMaker:
    return FakeSageMaker(ENDPOINT)


@pytest.fixture
def s3() -> FakeS3:
    found = FakeS3()
    found.objects["artifacts", REPORT_KEY] = b'{"warnings": []}'
    return found


@pytest.fixture
def invoke(fake: FakeSageMaker, s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    module = load("deploy_model", "handler", monkeypatch, ENVIRONMENT)
    monkeypatch.setattr(module, "sagemaker", module.SageMaker(fake))
    lists = module.PopularLists(s3, ENVIRONMENT["FALLBACK_BUCKET"], ENVIRONMENT["FALLBACK_KEY"])
    monkeypatch.setattr(module, "popular_lists", lists)
    monkeypatch.setattr(module, "s3", s3)
    return lambda payload: module.handler(payload, FakeContext())


@pytest.fixture(scope="module")
def logic() -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield load("deploy_model", "logic", monkeypatch)
