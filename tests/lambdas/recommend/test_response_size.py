"""The largest response: ids of the greatest length after encoding, within the limits of every hop."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest

from ml import contract
from ml.serving import inference
from ml.serving.request import RequestError
from tests.lambdas.functions import FakeContext
from tests.lambdas.recommend.api import POST, FakeRuntime, Invoke, content, post

MIB = 1024 * 1024
MAX_INVOKE_ENDPOINT = 6 * MIB  # SageMaker endpoints and quotas, payload of an invocation; newer: 25 MB
MAX_TORCHSERVE = 6_553_500  # TorchServe, advanced configuration: max_response_size
MAX_LAMBDA = 6 * MIB  # Lambda quotas, synchronous invocation, response
LONGEST_SCORE = -1.1754943508222875e-38
# 512 bytes in UTF-8 that JSON escapes: quotation marks twice, once in the body and once in Lambda's response.
LONGEST_IDS = ['"' * 512, "ü" * 256, "😀" * 128]


class LongIds(FakeRuntime):
    """A model whose ids are all the same long text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self.size = 0

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        instances = inference.input_fn(request["Body"], "application/json")
        items = [{"item_id": self._text, "score": LONGEST_SCORE}]
        answer = {
            "predictions": [
                {"user_id": each.user_id, "items": items * each.k, "strategy": "ncf"} for each in instances
            ],
            "model_version": "20261123T020000Z",
        }
        self.content = inference.output_fn(answer, "application/json")[0].encode()
        self.size = len(self.content)
        return super().invoke_endpoint(**request)


def lambda_size(response: dict[str, Any]) -> int:
    """Bytes of the function's response: Lambda sends it as JSON, with the body as a string in it."""
    return len(json.dumps(response).encode())


@pytest.mark.parametrize("text", LONGEST_IDS, ids=["quotation marks", "two bytes", "four bytes"])
@pytest.mark.parametrize(("n_users", "k"), [(100, 25), (2, 1000), (50, 50)])
def test_largest_response_fits_endpoint_torchserve_and_lambda(
    monkeypatch: pytest.MonkeyPatch, handler: ModuleType, text: str, n_users: int, k: int
) -> None:
    runtime = LongIds(text)
    monkeypatch.setattr(handler, "runtime", runtime)
    response = handler.handler(post({"user_ids": [text] * n_users, "k": k}), FakeContext())
    assert response["statusCode"] == 200
    assert runtime.size <= min(MAX_INVOKE_ENDPOINT, MAX_TORCHSERVE)
    assert lambda_size(response) <= MAX_LAMBDA


def test_limit_is_not_much_lower_than_necessary(logic: ModuleType) -> None:
    body = json.dumps([{"item_id": LONGEST_IDS[0], "score": LONGEST_SCORE}] * logic.MAX_ITEMS)
    assert lambda_size({"body": body}) > 0.8 * MAX_LAMBDA


@pytest.mark.parametrize(("n_users", "k"), [(100, 1000), (100, 26), (3, 1000), (51, 50)])
def test_hundred_users_of_a_thousand_items_are_refused_with_both_fields_and_the_limit(
    invoke: Invoke, runtime: FakeRuntime, n_users: int, k: int
) -> None:
    response = invoke(post({"user_ids": [f"n{n}" for n in range(n_users)], "k": k}))
    assert response["statusCode"] == 400
    error = content(response, POST, "post")["error"]
    assert error["code"] == "InvalidParameter"
    assert error["message"].startswith(f"user_ids and k ask for {n_users} x {k} items: at most 2500")
    assert runtime.requests == []


def test_container_refuses_more_items_than_a_response_may_have() -> None:
    instances = [{"user_id": "u", "k": 1000}] * 3
    with pytest.raises(RequestError, match=r"^instances: the sum of k is 3000: at most 2500") as raised:
        inference.input_fn(json.dumps({"instances": instances}), "application/json")
    assert raised.value.status_code == 400
    assert inference.input_fn(json.dumps({"instances": instances[:2]}), "application/json")
    assert contract.MAX_ITEMS_PER_REQUEST >= contract.MAX_K
