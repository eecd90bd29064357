"""`report_rejection`: one notification with the decision of the quality gate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sns.models import sns_backends

from ml import contract
from tests.lambdas.functions import FakeContext, load

BUCKET, KEY = "artifacts", "models/20261123T020000Z/evaluation/evaluation.json"
REQUEST = {
    "run_id": "20261123T020000Z",
    "report_uri": f"s3://{BUCKET}/{KEY}",
}
LINES = [
    "hr_at_10 0.4800, floor 0.5000: FAILED; no champion",
    "ndcg_at_10 0.2600, floor 0.2500: passed; no champion",
]
REPORT: dict[str, Any] = {"gate": {"decision": "rejected: hr_at_10 below the floor", "lines": LINES}}


@pytest.fixture
def topic_arn() -> Iterator[str]:
    """SNS topic, and the evaluation report in S3."""
    with mock_aws():
        s3 = boto3.client("s3", region_name="ap-northeast-2")
        location = {"LocationConstraint": "ap-northeast-2"}
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=json.dumps(REPORT))
        yield boto3.client("sns", region_name="ap-northeast-2").create_topic(Name="alarms")["TopicArn"]


@pytest.fixture
def handler(topic_arn: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load("report_rejection", "handler", monkeypatch, {"STAGE_NAME": "dev", "TOPIC_ARN": topic_arn})


@pytest.fixture
def logic(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load("report_rejection", "logic", monkeypatch)


def test_one_notification_has_the_decision_and_a_line_per_metric(handler: Any, topic_arn: str) -> None:
    assert handler.handler(REQUEST, FakeContext()) == {contract.REJECTION_SUMMARY: "\n".join(LINES)}
    topic = sns_backends[DEFAULT_ACCOUNT_ID]["ap-northeast-2"].topics[topic_arn]
    ((_, message, subject, *_),) = topic.sent_notifications
    assert subject == "NCF dev: candidate of run 20261123T020000Z not better"
    assert "rejected: hr_at_10 below the floor\n" + "\n".join(LINES) in message
    assert REQUEST["report_uri"] in message


def test_model_that_does_not_fit_its_instance_is_named_with_the_memory(logic: ModuleType) -> None:
    serving = {"instance_type": "ml.m5.large", "workers": 2, "needed_mib": 9000, "memory_mib": 8192}
    too_large = json.dumps({**REPORT, "serving": {**serving, "free_mib": -808}}).encode()
    found = logic.decision_of(logic.rejection_of(REQUEST), too_large)
    memory = "memory 9000 MiB with 2 workers, ml.m5.large has 8192 MiB: FAILED"
    way_out = "write a larger serving.instance_type in the stage file"
    assert found.lines.splitlines() == [*LINES, f"{memory}; {way_out}"]
    assert found.reason.startswith("rejected: the model does not fit the endpoint's instance; its metrics: ")
    fitting = json.dumps({**REPORT, "serving": {**serving, "free_mib": 0}}).encode()
    assert logic.decision_of(logic.rejection_of(REQUEST), fitting).lines.splitlines() == LINES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"report_uri": "https://example.com"}, "report_uri is 'https://example.com'"),
        ({"report_uri": None}, "not the arguments"),
    ],
)
def test_invalid_arguments_are_refused(logic: ModuleType, change: dict[str, Any], message: str) -> None:
    with pytest.raises(logic.EventError, match=message):
        logic.rejection_of({**REQUEST, **change})


def test_missing_argument_is_named(logic: ModuleType) -> None:
    with pytest.raises(logic.EventError, match="run_id is missing"):
        logic.rejection_of({name: value for name, value in REQUEST.items() if name != "run_id"})


@pytest.mark.parametrize("content", [b"", b"[]", b'{"gate": {}}', b'{"gate": null}'])
def test_invalid_report_is_refused_with_its_uri(logic: ModuleType, content: bytes) -> None:
    with pytest.raises(logic.EventError, match=r"^s3://artifacts/models/.*: not an evaluation report"):
        logic.decision_of(logic.rejection_of(REQUEST), content)
