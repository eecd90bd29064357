"""Valid and invalid requests to the recommendation API."""

from __future__ import annotations

import base64
import json
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lambdas.functions import event
from tests.lambdas.recommend.api import GET, POST, FakeRuntime, Invoke, content, get, post


def test_known_user_gets_k_items_of_the_model(invoke: Invoke, runtime: FakeRuntime) -> None:
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


def test_default_is_ten_items(invoke: Invoke) -> None:
    assert len(content(invoke(get()), GET, "get")["items"]) == 10


def test_many_users_are_answered_in_order_with_one_invocation(invoke: Invoke, runtime: FakeRuntime) -> None:
    found = content(invoke(event("http_post_recommendations")), POST, "post")
    assert [(each["user_id"], each["strategy"]) for each in found["recommendations"]] == [
        ("42", "ncf"),
        ("7", "popular"),
    ]
    assert found["model_version"] == "20261123T020000Z"
    assert len(runtime.requests) == 1


def test_base64_body_is_decoded(invoke: Invoke) -> None:
    request = event("http_post_recommendations")
    request |= {"body": base64.b64encode(request["body"].encode()).decode(), "isBase64Encoded": True}
    assert invoke(request)["statusCode"] == 200


def test_unknown_path_is_404_with_an_error_body(invoke: Invoke, runtime: FakeRuntime) -> None:
    response = invoke(event("http_unknown_path"))
    assert response["statusCode"] == 404
    error = json.loads(response["body"])["error"]
    assert error["code"] == "NotFound"
    assert error["request_id"] == "B1xZThAMoE0EPMA="
    assert runtime.requests == []


@pytest.mark.parametrize(
    "k", ["0", "abc", "1001", "-1", "+5", "1.5", "", " 5", "5 ", "1,2", "٣", "9" * 30, "1_0"]
)
def test_invalid_k_is_400_with_the_accepted_range(invoke: Invoke, runtime: FakeRuntime, k: str) -> None:
    response = invoke(get(k))
    assert response["statusCode"] == 400
    error = content(response, GET, "get")["error"]
    assert error["code"] == "InvalidParameter"
    assert error["message"].startswith("k is ")
    assert error["message"].endswith("send an integer from 1 to 1000")
    assert error["request_id"] == "B1xYzgOcoE0EPfQ="
    assert runtime.requests == []


@pytest.mark.parametrize("user_id", ["", "u" * 513, "a\nb", "\x00"])
def test_invalid_user_id_is_400(invoke: Invoke, user_id: str) -> None:
    response = invoke(get(user_id=user_id))
    assert response["statusCode"] == 400
    assert content(response, GET, "get")["error"]["message"].startswith("user_id: send a string")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "body: send JSON"),
        ("{", "body: send JSON"),
        ("[" * 100_000, "body: send JSON"),
        ([], "body: send an object"),
        ({}, "user_ids: send a list of 1 to 100"),
        ({"user_ids": []}, "user_ids: send a list of 1 to 100"),
        ({"user_ids": ["u"] * 101}, "user_ids: send a list of 1 to 100"),
        ({"user_ids": "42"}, "user_ids: send a list"),
        ({"user_ids": ["42", 7]}, "user_ids[1]: send a string"),
        ({"user_ids": ["42"], "k": "3"}, "k is 3: send an integer"),
        ({"user_ids": ["42"], "k": True}, "k is True"),
        ({"user_ids": ["42"], "k": None}, "k is None"),
        ({"user_ids": ["42"], "k": 1001}, "k is 1001"),
        ({"user_ids": ["42"], "top": 3}, "top is not known"),
    ],
)
def test_invalid_body_is_400_and_names_the_field(invoke: Invoke, body: Any, message: str) -> None:
    response = invoke(post(body))
    assert response["statusCode"] == 400
    assert content(response, POST, "post")["error"]["message"].startswith(message)


@pytest.mark.parametrize("content_type", [None, "text/csv", "application/x-www-form-urlencoded"])
def test_other_content_type_is_415(invoke: Invoke, content_type: str | None) -> None:
    response = invoke(post({"user_ids": ["42"]}, content_type))
    assert response["statusCode"] == 415
    content(response, POST, "post")


def test_charset_of_the_content_type_is_accepted(invoke: Invoke) -> None:
    assert invoke(post({"user_ids": ["42"]}, "application/json; charset=utf-8"))["statusCode"] == 200


@given(st.integers(1, 1000))
def test_every_integer_from_1_to_1000_is_a_valid_k(logic: ModuleType, k: int) -> None:
    assert logic.k_of_text(str(k)) == logic.k_of_json(k) == k


@given(st.text())
def test_any_other_text_is_refused_as_k(logic: ModuleType, text: str) -> None:
    try:
        k = logic.k_of_text(text)
    except logic.ApiError:
        assert text not in {str(number) for number in range(1, 1001)}
    else:
        assert text.isascii()
        assert 1 <= k <= 1000
