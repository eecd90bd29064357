"""Recent items, exclusions and candidates of the API: what the endpoint gets, and what is refused."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from ml import contract
from tests.lambdas.fake_s3 import FakeS3
from tests.lambdas.functions import load
from tests.lambdas.recommend.api import (
    API,
    LIST,
    POST,
    FakeRuntime,
    Invoke,
    content,
    popular_list,
    post,
    validator,
)

BODY: Any = API["paths"][POST]["post"]["requestBody"]["content"]["application/json"]
BODY_SCHEMA = json.loads(json.dumps(BODY["schema"]).replace('"#/', '"urn:api#/'))


def sent(runtime: FakeRuntime) -> dict[str, Any]:
    """The only instance of the last request to the endpoint."""
    (instance,) = json.loads(runtime.requests[-1]["Body"])["instances"]
    return instance


def test_session_reaches_the_endpoint_with_a_weight_per_item(invoke: Invoke, runtime: FakeRuntime) -> None:
    body = {
        "user_ids": ["42"],
        "k": 2,
        "recent_items": [
            "7",
            {"item_id": "8", "weight": 2},
            {"item_id": "9", "event": "purchase"},
            {"item_id": "10", "event": "hover"},
        ],
        "exclude_items": ["1"],
        "candidates": ["2", "3"],
    }
    assert invoke(post(body))["statusCode"] == 200
    assert sent(runtime) == {
        "user_id": "42",
        "k": 2,
        "candidates": ["2", "3"],
        "exclude_items": ["1"],
        "recent_items": [
            {"item_id": "7", "weight": 1.0},
            {"item_id": "8", "weight": 2.0},
            {"item_id": "9", "weight": 5.0},  # the weight of purchases in the stage
            {"item_id": "10", "weight": 1.0},
        ],
    }


def test_fields_that_a_request_does_not_use_are_not_sent(invoke: Invoke, runtime: FakeRuntime) -> None:
    """A model that was trained before the fields existed refuses them."""
    invoke(post({"user_ids": ["42"], "exclude_items": []}))
    assert sent(runtime) == {"user_id": "42", "k": 10}


def test_number_of_ignored_items_is_part_of_the_response(invoke: Invoke, runtime: FakeRuntime) -> None:
    prediction = {"user_id": "42", "items": [], "strategy": "ncf+session", "ignored_items": 1}
    runtime.content = json.dumps({"predictions": [prediction], "model_version": "v"}).encode()
    found = content(invoke(post({"user_ids": ["42"], "recent_items": ["7", "x"]})), POST, "post")
    assert found["recommendations"] == [prediction]


def test_fallback_respects_exclusions_and_ignores_all_recent_items(
    invoke: Invoke, runtime: FakeRuntime, s3: FakeS3
) -> None:
    s3.objects[LIST] = popular_list("a", "7", "b", "c")
    runtime.failure = ReadTimeoutError(endpoint_url="https://runtime.sagemaker")
    body = {"user_ids": ["42"], "k": 1, "recent_items": ["a", "z"], "exclude_items": ["7.0"]}
    (found,) = content(invoke(post(body)), POST, "post")["recommendations"]
    assert found == {
        "user_id": "42",
        "items": [{"item_id": "b", "score": 2.0}],
        "strategy": "fallback",
        "ignored_items": 2,
    }


LONG = "x" * 513
REFUSED = [
    ("recent_items", "7", "recent_items: send a list of at most 200 items"),
    ("recent_items", None, "recent_items: send a list"),
    ("recent_items", [f"i{n}" for n in range(201)], "recent_items: send a list of at most 200 items"),
    ("recent_items", ["7", 7], "recent_items[1]: send an item id, or an object"),
    ("recent_items", [None], "recent_items[0]: send an item id"),
    ("recent_items", [""], "recent_items[0]: send a string of 1 to 512 bytes"),
    ("recent_items", [{}], "recent_items[0].item_id: send a string"),
    ("recent_items", [{"item_id": 7}], "recent_items[0].item_id: send a string"),
    ("recent_items", [{"item_id": "7", "colour": "red"}], "recent_items[0]: send an item id"),
    ("recent_items", [{"item_id": "7", "event": ""}], "recent_items[0].event: send a string"),
    ("recent_items", [{"item_id": "7", "event": "e" * 65}], "recent_items[0].event: send a string"),
    ("recent_items", [{"item_id": "7", "event": 1}], "recent_items[0].event: send a string"),
    ("recent_items", [{"item_id": "7", "weight": 0}], "recent_items[0].weight: send a number"),
    ("recent_items", [{"item_id": "7", "weight": -1}], "recent_items[0].weight: send a number"),
    ("recent_items", [{"item_id": "7", "weight": 1001}], "recent_items[0].weight: send a number"),
    ("recent_items", [{"item_id": "7", "weight": True}], "recent_items[0].weight: send a number"),
    ("recent_items", [{"item_id": "7", "weight": "2"}], "recent_items[0].weight: send a number"),
    ("recent_items", [{"item_id": "7", "event": "e", "weight": 1}], "recent_items[0]: send an item id"),
    ("exclude_items", "7", "exclude_items: send a list of 0 to 1000 strings"),
    ("exclude_items", [7], "exclude_items[0]: send a string"),
    ("exclude_items", ["i"] * 1001, "exclude_items: send a list of 0 to 1000"),
    ("exclude_items", [LONG], "exclude_items[0]: send a string"),
    ("candidates", [], "candidates: send a list of 1 to 1000 strings"),
    ("candidates", "7", "candidates: send a list of 1 to 1000 strings"),
    ("candidates", [7], "candidates[0]: send a string"),
    ("candidates", ["i"] * 1001, "candidates: send a list of 1 to 1000"),
    ("candidates", ["a\nb"], "candidates[0]: send a string"),
    ("candidates", None, "candidates: send a list"),
]


@pytest.mark.parametrize(("field", "value", "message"), REFUSED)
def test_invalid_field_is_400_that_names_it_and_invalid_in_the_openapi_file(
    invoke: Invoke, runtime: FakeRuntime, field: str, value: Any, message: str
) -> None:
    body = {"user_ids": ["42"], field: value}
    response = invoke(post(body))
    assert response["statusCode"] == 400
    assert content(response, POST, "post")["error"]["message"].startswith(message)
    assert runtime.requests == []
    assert not validator(BODY_SCHEMA).is_valid(body)


@pytest.mark.parametrize("pair", [["7", "7"], ["7", "7.0"], ["7", {"item_id": " 7 "}]])
def test_item_twice_in_a_session_is_400_that_names_both(invoke: Invoke, pair: list[Any]) -> None:
    response = invoke(post({"user_ids": ["42"], "recent_items": ["1", *pair]}))
    assert response["statusCode"] == 400
    message = content(response, POST, "post")["error"]["message"]
    assert message.startswith("recent_items[2] is the same item as recent_items[1]")


def test_session_of_several_users_is_400(invoke: Invoke) -> None:
    body = {"user_ids": ["42", "7"], "recent_items": ["1"]}
    assert not validator(BODY_SCHEMA).is_valid(body)
    response = invoke(post(body))
    assert response["statusCode"] == 400
    assert content(response, POST, "post")["error"]["message"].startswith("recent_items: send them with one")


def test_request_that_is_too_large_for_the_endpoint_is_400(invoke: Invoke, runtime: FakeRuntime) -> None:
    body = {"user_ids": [f"u{n}" for n in range(100)], "candidates": [f"{n:0512}" for n in range(1000)]}
    response = invoke(post(body))
    assert response["statusCode"] == 400
    assert "too large in one request" in content(response, POST, "post")["error"]["message"]
    assert runtime.requests == []


@pytest.mark.parametrize("name", BODY["examples"])
def test_examples_of_the_openapi_file_are_valid_and_accepted(invoke: Invoke, name: str) -> None:
    body = BODY["examples"][name]["value"]
    validator(BODY_SCHEMA).validate(body)
    assert invoke(post(body))["statusCode"] == 200


def test_limits_of_recent_items_are_those_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    module: ModuleType = load("recommend", "recent_items", monkeypatch)
    weight = API["components"]["schemas"]["RecentItem"]["oneOf"][1]["properties"]["weight"]
    assert module.MAX_RECENT_ITEMS == contract.MAX_RECENT_ITEMS
    assert (weight["minimum"], weight["maximum"]) == (module.MIN_WEIGHT, module.MAX_WEIGHT)
    assert (module.MIN_WEIGHT, module.MAX_WEIGHT) == (
        contract.MIN_RECENT_WEIGHT,
        contract.MAX_RECENT_WEIGHT,
    )
