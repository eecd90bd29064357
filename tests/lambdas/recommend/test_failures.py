"""Failures of the endpoint without a popular list: error responses and logs."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

from tests.lambdas.fake_s3 import FakeS3
from tests.lambdas.recommend.api import GET, POST, FakeRuntime, Invoke, content, get, post


def client_error(code: str, **more: Any) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "user 42 is secret"}, **more}, "InvokeEndpoint")


@pytest.fixture(autouse=True)
def no_list(s3: FakeS3) -> None:
    """S3 cannot be read either."""
    s3.failure = client_error("InternalError")


URL = "https://runtime.sagemaker.ap-northeast-2.amazonaws.com/"


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (client_error("ModelError", OriginalStatusCode=500), 502, "ModelFailed"),
        (client_error("ModelError", OriginalStatusCode=400), 502, "ModelFailed"),
        (client_error("ThrottlingException"), 503, "Busy"),
        (client_error("ServiceUnavailable"), 503, "ModelUnavailable"),
        (client_error("ValidationError"), 503, "ModelUnavailable"),
        (EndpointConnectionError(endpoint_url=URL), 503, "ModelUnavailable"),
        (ReadTimeoutError(endpoint_url=URL), 504, "ModelTimeout"),
        (ConnectTimeoutError(endpoint_url=URL), 504, "ModelTimeout"),
        (RuntimeError("a mistake"), 500, "Internal"),
    ],
)
def test_failed_invocation_is_an_error_without_internal_details(
    invoke: Invoke, runtime: FakeRuntime, failure: Exception, status: int, code: str
) -> None:
    runtime.failure = failure
    for request, path, method in ((get("3"), GET, "get"), (post({"user_ids": ["42"]}), POST, "post")):
        response = invoke(request)
        assert response["statusCode"] == status
        error = content(response, path, method)["error"]
        assert error["code"] == code
        assert "secret" not in error["message"]
        assert "mistake" not in error["message"]
        assert ("retry-after" in response["headers"]) == (status == 503)


NOT_FINITE = json.dumps(
    {
        "predictions": [{"user_id": "42", "items": [{"item_id": "1", "score": math.nan}], "strategy": "ncf"}],
        "model_version": "v",
    }
)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff",
        b"null",
        b"{}",
        b'{"predictions": [], "model_version": "v"}',
        b'{"predictions": [{"user_id": "7", "items": [], "strategy": "ncf"}], "model_version": "v"}',
        b'{"predictions": [{"user_id": "42", "items": [], "strategy": "ncf"}], "model_version": 3}',
        b'{"predictions": [{"user_id": "42", "items": [], "strategy": "magic"}], "model_version": "v"}',
        NOT_FINITE.encode(),
        b'{"predictions": [{"user_id": "42", "items": [{}], "strategy": "ncf"}], "model_version": "v"}',
    ],
)
def test_malformed_model_response_is_502(invoke: Invoke, runtime: FakeRuntime, answer: bytes) -> None:
    runtime.content = answer
    response = invoke(get("3"))
    assert response["statusCode"] == 502
    assert content(response, GET, "get")["error"]["code"] == "ModelFailed"


def test_logs_contain_outcomes_and_no_user_ids(
    invoke: Invoke, runtime: FakeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="recommend")
    invoke(get("3", "very-private"))
    invoke(get("0", "very-private"))
    invoke(post({"user_ids": ["very-private"]}))
    runtime.failure = client_error("ModelError", OriginalStatusCode=500)
    invoke(get("3", "very-private"))
    assert [record.getMessage() for record in caplog.records] == [
        "popular list not read",
        "request answered",
        "request failed",
        "request answered",
        "endpoint returned an error",
        "request failed",
    ]
    assert not any("very-private" in str(vars(record)) for record in caplog.records)
