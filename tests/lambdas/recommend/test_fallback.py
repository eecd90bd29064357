"""While the endpoint does not answer, the popular list does: 200, strategy fallback, a metric, few calls."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from tests.lambdas.fake_s3 import FakeS3
from tests.lambdas.functions import load
from tests.lambdas.recommend.api import (
    ENVIRONMENT,
    GET,
    LIST,
    POST,
    FakeRuntime,
    Invoke,
    content,
    get,
    popular_list,
    post,
)

URL = "https://runtime.sagemaker.ap-northeast-2.amazonaws.com/"


def error(code: str, **more: Any) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "x"}, **more}, "InvokeEndpoint")


FAILURES = {
    "killed": EndpointConnectionError(endpoint_url=URL),
    "slow": ReadTimeoutError(endpoint_url=URL),
    "throttled": error("ThrottlingException"),
    "absent": error("ValidationError"),
    "crashed": error("ModelError", OriginalStatusCode=500),
}


@pytest.fixture(autouse=True)
def listed(s3: FakeS3) -> None:
    s3.objects[LIST] = popular_list("a", "b", "c", "7")


@pytest.mark.parametrize("kind", [*FAILURES, "rubbish"])
def test_popular_list_answers_for_an_endpoint_that_does_not(
    invoke: Invoke, runtime: FakeRuntime, kind: str
) -> None:
    runtime.failure = FAILURES.get(kind)
    runtime.content = b"rubbish"
    items = [{"item_id": "a", "score": 4.0}, {"item_id": "b", "score": 3.0}]
    expected = {"user_id": "42", "items": items, "strategy": "fallback"}
    one = invoke(get("2"))
    assert one["statusCode"] == 200
    assert content(one, GET, "get") == {**expected, "model_version": "20261122T020000Z"}
    many = content(invoke(post({"user_ids": ["42", "7"], "k": 2})), POST, "post")
    assert many["recommendations"] == [expected, {**expected, "user_id": "7"}]


def test_candidates_are_respected_and_those_outside_the_list_follow_it(
    invoke: Invoke, runtime: FakeRuntime
) -> None:
    runtime.failure = FAILURES["slow"]
    body = {"user_ids": ["42"], "candidates": ["new", "7.0", "b", "other"], "k": 3}
    (found,) = content(invoke(post(body)), POST, "post")["recommendations"]
    assert [(item["item_id"], item["score"]) for item in found["items"]] == [("b", 3), ("7", 1), ("new", 0)]


def test_before_the_first_deployment_the_list_is_that_of_the_bootstrap_model(
    invoke: Invoke, runtime: FakeRuntime, s3: FakeS3
) -> None:
    s3.objects.clear()
    runtime.failure = FAILURES["killed"]
    answer = content(invoke(get()), GET, "get")
    assert (answer["items"], answer["strategy"], answer["model_version"]) == ([], "fallback", "bootstrap")


def test_fallback_is_counted_per_function_with_its_reason(
    invoke: Invoke, runtime: FakeRuntime, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke(get())
    assert "Fallbacks" not in capsys.readouterr().out
    runtime.failure = FAILURES["throttled"]
    invoke(get())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "Fallbacks" in line]
    (line,) = lines
    (metric,) = line["_aws"]["CloudWatchMetrics"]
    assert metric == {
        "Namespace": "NCF",
        "Dimensions": [["FunctionName"]],
        "Metrics": [{"Name": "Fallbacks", "Unit": "Count"}],
    }
    assert (line["FunctionName"], line["Fallbacks"], line["reason"]) == ("function", [1.0], "Busy")


def test_open_circuit_makes_no_calls_and_closes_after_a_successful_probe(
    handler: ModuleType, invoke: Invoke, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    breaker = handler.CircuitBreaker(max_failures=3, open_s=10, clock=lambda: now[0])
    monkeypatch.setattr(handler, "breaker", breaker)

    def calls(n_requests: int) -> int:
        before = len(runtime.requests)
        for _ in range(n_requests):
            assert invoke(get())["statusCode"] == 200
        return len(runtime.requests) - before

    runtime.failure = FAILURES["slow"]
    assert calls(10) == 3  # closed until the third failure
    now[0] = 10
    assert calls(10) == 1  # the probe fails, and the circuit is open again
    now[0] = 19
    assert calls(10) == 0
    now[0], runtime.failure = 20, None
    assert calls(10) == 10
    runtime.failure = FAILURES["slow"]
    assert calls(10) == 3


def test_request_that_the_container_refuses_does_not_open_the_circuit(
    invoke: Invoke, runtime: FakeRuntime
) -> None:
    runtime.failure = error("ModelError", OriginalStatusCode=400)
    for _ in range(10):
        assert content(invoke(get()), GET, "get")["strategy"] == "fallback"
    assert len(runtime.requests) == 10


def test_success_between_failures_keeps_the_circuit_closed(invoke: Invoke, runtime: FakeRuntime) -> None:
    for _ in range(5):
        for failure in (FAILURES["slow"], FAILURES["slow"], None):
            runtime.failure = failure
            invoke(get())
    assert len(runtime.requests) == 15


def test_list_is_read_once_while_the_model_answers_and_kept_when_s3_fails(
    invoke: Invoke, runtime: FakeRuntime, s3: FakeS3
) -> None:
    for _ in range(3):
        invoke(get())
    assert s3.n_reads == 1
    s3.failure, runtime.failure = error("InternalError"), FAILURES["slow"]
    assert content(invoke(get()), GET, "get")["strategy"] == "fallback"


def test_old_list_is_read_again_and_a_failed_read_is_not_repeated_at_once() -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        fallback = load("recommend", "fallback", monkeypatch)
    now, contents = [0.0], [popular_list("a"), b"rubbish", popular_list("b")]
    cache = fallback.PopularListCache(
        lambda: fallback.PopularList.parse(contents.pop(0)), retry_s=10, clock=lambda: now[0]
    )

    def best(at: float) -> str:
        now[0] = at
        return cache.newest(300).items[0][0]

    assert [best(0), best(299), best(300), best(309)] == ["a"] * 4
    assert len(contents) == 1  # the damaged list was read once
    assert [best(310), best(609)] == ["b"] * 2


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"[]",
        b'{"schema_version": 2, "model_version": "v", "items": []}',
        b'{"schema_version": 1, "model_version": 7, "items": []}',
        b'{"schema_version": 1, "model_version": "v", "items": [{"item_id": 7, "score": 1}]}',
        b'{"schema_version": 1, "model_version": "v", "items": [{"item_id": "7", "score": NaN}]}',
    ],
)
def test_damaged_list_is_an_error_response_of_the_endpoint(
    invoke: Invoke, runtime: FakeRuntime, s3: FakeS3, damaged: bytes
) -> None:
    s3.objects[LIST] = damaged
    runtime.failure = FAILURES["slow"]
    assert invoke(get())["statusCode"] == 504


def test_connection_and_answer_share_the_time_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load("recommend", "handler", monkeypatch, ENVIRONMENT).runtime.meta.config
    assert config.connect_timeout + config.read_timeout == pytest.approx(1.0)
    assert config.retries["total_max_attempts"] == 1
