"""Dead letters of a run are found by their body and reported with their error."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.dead_letters import find_dead_letter

RUN_ID = "20261123T020000Z"


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield boto3.client("sqs", region_name="ap-northeast-2")


def send(sqs: Any, body: str, **attributes: str) -> None:
    url = sqs.create_queue(QueueName="events-dlq")["QueueUrl"]
    values = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
    sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=values)


@pytest.mark.parametrize("attribute", ["ERROR_MESSAGE", "ErrorMessage"])
def test_dead_letter_is_reported_with_queue_and_error_and_stays_in_its_queue(
    sqs: Any, attribute: str
) -> None:
    send(sqs, f"run {RUN_ID}", **{attribute: "access denied"})
    assert [find_dead_letter(sqs, RUN_ID) for _ in range(2)] == ["events-dlq: access denied"] * 2


def test_dead_letter_of_another_run_is_ignored(sqs: Any) -> None:
    assert find_dead_letter(sqs, RUN_ID) is None
    send(sqs, "run 20261124T020000Z", ERROR_MESSAGE="access denied")
    assert find_dead_letter(sqs, RUN_ID) is None


def test_dead_letter_without_an_error_is_reported(sqs: Any) -> None:
    send(sqs, RUN_ID)
    assert find_dead_letter(sqs, RUN_ID) == "events-dlq: no reason given"
