"""Fixtures: `deploy_model` with fake SageMaker and S3 clients, and its logic module without AWS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.lambdas.deploy_model.calls import BATCH_TEMPLATE, ENDPOINT, ENVIRONMENT, Invoke
from tests.lambdas.deploy_model.fake_cloudwatch import FakeCloudWatch
from tests.lambdas.deploy_model.fake_sagemaker import REPORT_FOLDER, FakeSageMaker
from tests.lambdas.deploy_model.fake_sns import FakeSns
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
def cloudwatch() -> FakeCloudWatch:
    return FakeCloudWatch(*json.loads(ENVIRONMENT["ALARM_NAMES"]))


@pytest.fixture
def sns() -> FakeSns:
    return FakeSns()


@pytest.fixture
def invoke(
    fake: FakeSageMaker, s3: FakeS3, cloudwatch: FakeCloudWatch, sns: FakeSns, monkeypatch: pytest.MonkeyPatch
) -> Invoke:
    return loaded(fake, s3, cloudwatch, sns, monkeypatch=monkeypatch, environment=ENVIRONMENT)


@pytest.fixture
def invoke_with_batch(
    fake: FakeSageMaker, s3: FakeS3, cloudwatch: FakeCloudWatch, sns: FakeSns, monkeypatch: pytest.MonkeyPatch
) -> Invoke:
    """`deploy_model` of a stage with batch recommendations."""
    environment = ENVIRONMENT | {"BATCH_JOB": json.dumps(BATCH_TEMPLATE)}
    return loaded(fake, s3, cloudwatch, sns, monkeypatch=monkeypatch, environment=environment)


def loaded(
    fake: FakeSageMaker,
    s3: FakeS3,
    cloudwatch: FakeCloudWatch,
    sns: FakeSns,
    *,
    monkeypatch: pytest.MonkeyPatch,
    environment: Mapping[str, str],
) -> Invoke:
    module = load("deploy_model", "handler", monkeypatch, environment)
    monkeypatch.setattr(module, "sagemaker", module.SageMaker(fake))
    monkeypatch.setattr(
        module, "alarms", module.RolloutAlarms(cloudwatch, json.loads(environment["ALARM_NAMES"]))
    )
    lists = module.PopularLists(s3, ENVIRONMENT["FALLBACK_BUCKET"], ENVIRONMENT["FALLBACK_KEY"])
    monkeypatch.setattr(module, "popular_lists", lists)
    rollbacks = module.Rollbacks(
        sns,
        s3,
        topic_arn=environment["TOPIC_ARN"],
        stage=environment["STAGE_NAME"],
        bucket=environment["FALLBACK_BUCKET"],
        prefix=environment["ROLLBACKS_PREFIX"],
    )
    monkeypatch.setattr(module, "rollbacks", rollbacks)
    monkeypatch.setattr(module, "s3", s3)
    return lambda payload: module.handler(payload, FakeContext())


@pytest.fixture(scope="module")
def logic() -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield load("deploy_model", "logic", monkeypatch)
