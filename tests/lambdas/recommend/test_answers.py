"""Answers of the model are counted per model version, and recorded for comparisons of models."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from local.variants.records import Answer, UserKey, read_answers
from tests.lambdas.fake_s3 import FakeS3
from tests.lambdas.functions import load
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
RECORDING_KEY = (ENVIRONMENT["FALLBACK_BUCKET"], ENVIRONMENT["RECORDING_KEY"])


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
    invoke_and_record: Invoke, runtime: FakeRuntime, s3: FakeS3, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="recommend"):
        invoke_and_record(get("2"))
        runtime.content = b"no JSON"
        invoke_and_record(get("2"))
    lines = logged(caplog)
    good, bad = read_answers(lines)
    key = UserKey(s3.objects[RECORDING_KEY])
    items = frozenset({"100", "101"})
    assert good == Answer(good.time, key.digest("42"), key.id, VERSION, items, good.latency_ms, "")
    assert (bad.user, bad.version, bad.items, bad.error) == (good.user, "unknown", frozenset(), "ModelFailed")
    recorded = [line for line in lines if "answer recorded" in line]
    unkeyed = hashlib.sha256(b"42").hexdigest()[:16]
    assert not any('"42"' in line or unkeyed in line for line in recorded)


def test_user_is_recorded_as_the_id_of_the_platform(
    invoke_and_record: Invoke, s3: FakeS3, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="recommend"):
        invoke_and_record(get("2", user_id="42.0"))
    key = UserKey(s3.objects[RECORDING_KEY])
    assert [found.user for found in read_answers(logged(caplog))] == [key.digest("42")]


def test_environments_that_start_at_once_use_one_key(s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = load("recommend", "recording", monkeypatch)

    class Late(FakeS3):
        """Sees no object until it has tried to create one."""

        def get_object(self, **place: str) -> dict[str, Any]:
            self.objects = s3.objects if self.n_reads else {}
            return super().get_object(**place)

        def put_object(self, **request: Any) -> None:
            s3.put_object(**request)

    keys = [recording.RecordingKey(client, *RECORDING_KEY) for client in (s3, Late(), FakeS3())]
    first, second, other = (key.user("42") for key in keys)
    assert first == second != other
    assert len(s3.objects[RECORDING_KEY]) == 32
    assert keys[0].user("42") == first
    assert keys[0].user("43")["user"] != first["user"]


def test_answer_is_given_without_its_record_if_there_is_no_key(
    invoke_and_record: Invoke, s3: FakeS3, caplog: pytest.LogCaptureFixture
) -> None:
    s3.failure = EndpointConnectionError(endpoint_url="https://s3.ap-northeast-2.amazonaws.com")
    with caplog.at_level("INFO", logger="recommend"):
        assert content(invoke_and_record(get("2")), GET, "get")["strategy"] == "ncf"
        assert list(read_answers(logged(caplog))) == []
        assert any("answer not recorded" in line for line in logged(caplog))
        s3.failure = None
        invoke_and_record(get("2"))
    assert len(list(read_answers(logged(caplog)))) == 1


def test_answers_are_not_recorded_by_default(invoke: Invoke, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="recommend"):
        invoke(get("2"))
    assert "answer recorded" not in caplog.text
