"""Answers of the model are counted per model version, and recorded for comparisons of models."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.variants.records import Answer, read_answers, user_digest
from tests.lambdas.fake_s3 import FakeS3
from tests.lambdas.recommend.api import (
    ENVIRONMENT,
    GET,
    LIST,
    FakeRuntime,
    Invoke,
    content,
    get,
    popular_list,
)

VERSION = "20261123T020000Z"


def counted(output: str) -> list[tuple[str, int, int]]:
    """Model version, answers and bad answers of each metric line."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [
        (line["ModelVersion"], int(line["Answers"][0]), int(line["BadAnswers"][0]))
        for line in lines
        if "Answers" in line and line["EndpointName"] == ENVIRONMENT["ENDPOINT_NAME"]
    ]


def answer(**changes: Any) -> bytes:
    prediction = {"user_id": "42", "items": [{"item_id": "7", "score": 1.0}], "strategy": "ncf", **changes}
    return json.dumps({"predictions": [prediction], "model_version": VERSION}).encode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (answer(), (VERSION, 1, 0)),
        (answer(items=[]), (VERSION, 1, 1)),
        (answer(user_id="43"), (VERSION, 1, 1)),
        (answer(strategy="guess"), (VERSION, 1, 1)),
        (answer(items=[{"item_id": "7", "score": float("nan")}]), (VERSION, 1, 1)),
        (b"no JSON", ("unknown", 1, 1)),
        (b'{"predictions": [], "model_version": 7}', ("unknown", 1, 1)),
    ],
)
def test_answers_are_counted_with_the_version_of_their_model(
    invoke: Invoke,
    runtime: FakeRuntime,
    capsys: pytest.CaptureFixture[str],
    body: bytes,
    expected: tuple[str, int, int],
) -> None:
    runtime.content = body
    invoke(get())
    assert counted(capsys.readouterr().out) == [expected]


def test_empty_answer_is_replaced_by_the_popular_list(
    invoke: Invoke, runtime: FakeRuntime, s3: FakeS3
) -> None:
    s3.objects[LIST] = popular_list("a", "b")
    runtime.content = answer(items=[])
    found = content(invoke(get("2")), GET, "get")
    assert (found["strategy"], [item["item_id"] for item in found["items"]]) == ("fallback", ["a", "b"])


def test_empty_answer_stays_without_a_popular_list(invoke: Invoke, runtime: FakeRuntime) -> None:
    runtime.content = answer(items=[])
    found = content(invoke(get()), GET, "get")
    assert (found["strategy"], found["items"]) == ("ncf", [])


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Lines of the log, as Powertools writes them."""
    return [json.dumps({"message": record.message, **vars(record)}, default=str) for record in caplog.records]


def test_answer_is_recorded_without_the_user(
    invoke_and_record: Invoke, runtime: FakeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="recommend"):
        invoke_and_record(get("2"))
        runtime.content = b"no JSON"
        invoke_and_record(get("2"))
    lines = logged(caplog)
    good, bad = read_answers(lines)
    assert good == Answer(
        good.time, user_digest("42"), VERSION, frozenset({"100", "101"}), good.latency_ms, ""
    )
    assert (bad.version, bad.items, bad.error) == ("unknown", frozenset(), "ModelFailed")
    assert not any('"42"' in line for line in lines if "answer recorded" in line)


def test_user_is_recorded_as_the_id_of_the_platform(
    invoke_and_record: Invoke, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="recommend"):
        invoke_and_record(get("2", user_id="42.0"))
    assert [found.user for found in read_answers(logged(caplog))] == [user_digest("42")]


def test_answers_are_not_recorded_by_default(invoke: Invoke, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="recommend"):
        invoke(get("2"))
    assert "answer recorded" not in caplog.text
