"""Rules of the recommendation API: what is asked wrongly is told, what fails is never a 200."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.lambdas.functions import LAMBDAS, FakeContext, event, load

GET, POST = "/recommendations/{user_id}", "/recommendations"
API: dict[str, Any] = yaml.safe_load((LAMBDAS / "recommend" / "openapi.yaml").read_text())
REGISTRY: Any = Registry().with_resource("urn:api", Resource(contents=API, specification=DRAFT202012))

Invoke = Callable[[dict[str, Any]], dict[str, Any]]


class FakeRuntime:
    """An endpoint that knows user 42 only, and that fails if it is told to."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.failure: Exception | None = None
        self.content: bytes | None = None

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        instances = json.loads(request["Body"])["instances"]
        answer = {
            "predictions": [self._predict(each) for each in instances],
            "model_version": "20261123T020000Z",
        }
        return {"Body": io.BytesIO(self.content if self.content is not None else json.dumps(answer).encode())}

    def _predict(self, instance: dict[str, Any]) -> dict[str, Any]:
        return {
            "user_id": instance["user_id"],
            "items": [{"item_id": str(100 + rank), "score": 1 / (1 + rank)} for rank in range(instance["k"])],
            "strategy": "ncf" if instance["user_id"] == "42" else "popular",
        }


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
def invoke(runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    module = load("recommend", "handler", monkeypatch, {"ENDPOINT_NAME": "ncf-dev"})
    monkeypatch.setattr(module, "runtime", runtime)
    return lambda request: module.handler(request, FakeContext())


@pytest.fixture(scope="module")
def logic() -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield load("recommend", "logic", monkeypatch)


def get(k: str | None = None, user_id: str = "42") -> dict[str, Any]:
    request = event("http_get_recommendations")
    request["pathParameters"] = {"user_id": user_id}
    request["queryStringParameters"] = {"k": k}
    if k is None:
        del request["queryStringParameters"]  # as API Gateway does without a query string
    return request


def post(body: Any, content_type: str | None = "application/json") -> dict[str, Any]:
    request = event("http_post_recommendations")
    request["body"] = body if isinstance(body, str) else json.dumps(body)
    request["headers"].pop("content-type")
    if content_type is not None:
        request["headers"]["content-type"] = content_type
    return request


def content(response: dict[str, Any], path: str, method: str) -> Any:
    """The body of a response, once it is found to be what the OpenAPI file promises for its status."""
    assert response["headers"]["content-type"] == "application/json"
    body = json.loads(response["body"])
    promised = API["paths"][path][method]["responses"][str(response["statusCode"])]
    if "$ref" in promised:
        promised = API["components"]["responses"][promised["$ref"].rsplit("/", 1)[1]]
    schema = promised["content"]["application/json"]["schema"]
    rooted = json.loads(json.dumps(schema).replace('"#/', '"urn:api#/'))
    Draft202012Validator(rooted, registry=REGISTRY).validate(body)
    return body


def test_the_openapi_file_is_valid() -> None:
    validate(API)
    with pytest.raises(OpenAPIValidationError):
        validate({key: value for key, value in API.items() if key != "paths"} | {"paths": []})


def test_a_known_user_gets_k_items_of_the_model(invoke: Invoke, runtime: FakeRuntime) -> None:
    response = invoke(event("http_get_recommendations"))
    assert response["statusCode"] == 200
    assert content(response, GET, "get") == {
        "user_id": "42",
        "items": [
            {"item_id": "100", "score": 1.0},
            {"item_id": "101", "score": 0.5},
            {"item_id": "102", "score": pytest.approx(1 / 3)},
        ],
        "strategy": "ncf",
        "model_version": "20261123T020000Z",
    }
    (request,) = runtime.requests
    assert request["EndpointName"] == "ncf-dev"
    assert json.loads(request["Body"]) == {"instances": [{"user_id": "42", "k": 3}]}


def test_without_k_there_are_ten_items(invoke: Invoke) -> None:
    assert len(content(invoke(get()), GET, "get")["items"]) == 10


def test_many_users_are_answered_in_their_order_by_one_call(invoke: Invoke, runtime: FakeRuntime) -> None:
    found = content(invoke(event("http_post_recommendations")), POST, "post")
    assert [(each["user_id"], each["strategy"]) for each in found["recommendations"]] == [
        ("42", "ncf"),
        ("7", "popular"),
    ]
    assert found["model_version"] == "20261123T020000Z"
    assert len(runtime.requests) == 1


def test_a_body_in_base64_is_the_same_body(invoke: Invoke) -> None:
    request = event("http_post_recommendations")
    request |= {"body": base64.b64encode(request["body"].encode()).decode(), "isBase64Encoded": True}
    assert invoke(request)["statusCode"] == 200


def test_an_unknown_path_is_404_in_the_api_s_shape(invoke: Invoke, runtime: FakeRuntime) -> None:
    response = invoke(event("http_unknown_path"))
    assert response["statusCode"] == 404
    error = json.loads(response["body"])["error"]
    assert error["code"] == "NotFound"
    assert error["request_id"] == "B1xZThAMoE0EPMA="
    assert runtime.requests == []


@pytest.mark.parametrize(
    "k", ["0", "abc", "1001", "-1", "+5", "1.5", "", " 5", "5 ", "1,2", "٣", "9" * 30, "1_0"]
)
def test_a_wrong_k_is_400_and_says_what_to_send(invoke: Invoke, runtime: FakeRuntime, k: str) -> None:
    response = invoke(get(k))
    assert response["statusCode"] == 400
    error = content(response, GET, "get")["error"]
    assert error["code"] == "InvalidParameter"
    assert error["message"].startswith("k is ")
    assert error["message"].endswith("send a whole number from 1 to 1000")
    assert error["request_id"] == "B1xYzgOcoE0EPfQ="
    assert runtime.requests == []


@pytest.mark.parametrize("user_id", ["", "u" * 257, "a\nb", "\x00"])
def test_an_impossible_user_id_is_400(invoke: Invoke, user_id: str) -> None:
    response = invoke(get(user_id=user_id))
    assert response["statusCode"] == 400
    assert content(response, GET, "get")["error"]["message"].startswith("user_id: send a text")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("", "body: send JSON"),
        ("{", "body: send JSON"),
        ("[" * 100_000, "body: send JSON"),
        ([], "body: send an object"),
        ({}, "user_ids: send a list of 1 to 100"),
        ({"user_ids": []}, "user_ids: send a list of 1 to 100"),
        ({"user_ids": ["u"] * 101}, "user_ids: send a list of 1 to 100"),
        ({"user_ids": "42"}, "user_ids: send a list"),
        ({"user_ids": ["42", 7]}, "user_ids[1]: send a text"),
        ({"user_ids": ["42"], "k": "3"}, "k is 3: send a whole number"),
        ({"user_ids": ["42"], "k": True}, "k is True"),
        ({"user_ids": ["42"], "k": None}, "k is None"),
        ({"user_ids": ["42"], "k": 1001}, "k is 1001"),
        ({"user_ids": ["42"], "top": 3}, "top is not known"),
    ],
)
def test_a_wrong_body_is_400_and_names_the_field(invoke: Invoke, body: Any, complaint: str) -> None:
    response = invoke(post(body))
    assert response["statusCode"] == 400
    assert content(response, POST, "post")["error"]["message"].startswith(complaint)


@pytest.mark.parametrize("content_type", [None, "text/csv", "application/x-www-form-urlencoded"])
def test_another_content_type_is_415(invoke: Invoke, content_type: str | None) -> None:
    response = invoke(post({"user_ids": ["42"]}, content_type))
    assert response["statusCode"] == 415
    content(response, POST, "post")


def test_a_charset_beside_the_content_type_is_fine(invoke: Invoke) -> None:
    assert invoke(post({"user_ids": ["42"]}, "application/json; charset=utf-8"))["statusCode"] == 200


def refused(code: str, **more: Any) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "user 42 is secret"}, **more}, "InvokeEndpoint")


URL = "https://runtime.sagemaker.ap-northeast-2.amazonaws.com/"


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (refused("ModelError", OriginalStatusCode=500), 502, "ModelFailed"),
        (refused("ModelError", OriginalStatusCode=400), 502, "ModelFailed"),
        (refused("ThrottlingException"), 503, "Busy"),
        (refused("ServiceUnavailable"), 503, "ModelUnavailable"),
        (refused("ValidationError"), 503, "ModelUnavailable"),
        (EndpointConnectionError(endpoint_url=URL), 503, "ModelUnavailable"),
        (ReadTimeoutError(endpoint_url=URL), 504, "ModelTimeout"),
        (ConnectTimeoutError(endpoint_url=URL), 504, "ModelTimeout"),
        (RuntimeError("a mistake"), 500, "Internal"),
    ],
)
def test_a_failed_call_is_never_a_200_and_tells_nothing_of_the_inside(
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
        b'{"predictions": [{"user_id": "42", "items": [{}], "strategy": "ncf"}], "model_version": "v"}',
    ],
)
def test_an_answer_of_another_shape_is_502(invoke: Invoke, runtime: FakeRuntime, answer: bytes) -> None:
    runtime.content = answer
    response = invoke(get("3"))
    assert response["statusCode"] == 502
    assert content(response, GET, "get")["error"]["code"] == "ModelFailed"


def test_logs_tell_of_outcomes_and_of_no_user(
    invoke: Invoke, runtime: FakeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="recommend")
    invoke(get("3", "very-private"))
    invoke(get("0", "very-private"))
    invoke(post({"user_ids": ["very-private"]}))
    runtime.failure = refused("ModelError", OriginalStatusCode=500)
    invoke(get("3", "very-private"))
    assert [record.getMessage() for record in caplog.records] == [
        "answered",
        "refused or failed",
        "answered",
        "endpoint refused",
        "refused or failed",
    ]
    assert not any("very-private" in str(vars(record)) for record in caplog.records)


@given(st.integers(1, 1000))
def test_every_whole_number_from_1_to_1000_is_a_k(logic: ModuleType, k: int) -> None:
    assert logic.k_of_text(str(k)) == logic.k_of_json(k) == k


@given(st.text())
def test_a_text_is_a_k_or_a_400_and_nothing_else(logic: ModuleType, text: str) -> None:
    try:
        k = logic.k_of_text(text)
    except logic.ApiError:
        assert text not in {str(number) for number in range(1, 1001)}
    else:
        assert text.isascii()
        assert 1 <= k <= 1000


@given(st.text())
def test_a_user_id_is_taken_as_it_is_or_refused_as_the_openapi_file_says(
    logic: ModuleType, text: str
) -> None:
    schema = {"$ref": "urn:api#/components/schemas/UserId"}
    promised = Draft202012Validator(schema, registry=REGISTRY).is_valid(text)
    try:
        assert logic.user_id("user_id", text) == text
        accepted = True
    except logic.ApiError:
        accepted = False
    assert accepted == promised
