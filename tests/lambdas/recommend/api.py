"""Requests to the recommendation API, its OpenAPI file, and a fake endpoint."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from ml import contract
from tests.lambdas.functions import LAMBDAS, event

GET, POST = "/recommendations/{user_id}", "/recommendations"
API: dict[str, Any] = yaml.safe_load((LAMBDAS / "recommend" / "openapi.yaml").read_text())
REGISTRY: Any = Registry().with_resource("urn:api", Resource(contents=API, specification=DRAFT202012))

ENVIRONMENT = {
    "ENDPOINT_NAME": "ncf-dev",
    "MODEL_TIMEOUT_MS": "1000",
    "FALLBACK_BUCKET": "artifacts",
    "FALLBACK_KEY": contract.FALLBACK_KEY,
    "EVENT_WEIGHTS": '{"purchase": 5.0}',
    "RECORD_ANSWERS": "false",
    "RECORDING_KEY": contract.RECORDING_KEY,
    "METRICS_NAMESPACE": contract.METRICS_NAMESPACE,
}
LIST = (ENVIRONMENT["FALLBACK_BUCKET"], ENVIRONMENT["FALLBACK_KEY"])

Invoke = Callable[[dict[str, Any]], dict[str, Any]]


class FakeRuntime:
    """Fake SageMaker Runtime client whose model has the user 42; other users get popular items.

    Attributes:
        requests: arguments of every InvokeEndpoint call.
        failure: exception that InvokeEndpoint raises.
        content: response body that replaces the predictions.
    """

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


def popular_list(*item_ids: str, model_version: str = "20261122T020000Z") -> bytes:
    """The object that `deploy_model` writes; the first item has the highest score."""
    items = [{"item_id": item_id, "score": len(item_ids) - rank} for rank, item_id in enumerate(item_ids)]
    return json.dumps({"schema_version": 1, "model_version": model_version, "items": items}).encode()


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
    """The body of a response, validated against the schema of its status in the OpenAPI file."""
    assert response["headers"]["content-type"] == "application/json"
    body = json.loads(response["body"])
    described = API["paths"][path][method]["responses"][str(response["statusCode"])]
    if "$ref" in described:
        described = API["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
    schema = described["content"]["application/json"]["schema"]
    rooted = json.loads(json.dumps(schema).replace('"#/', '"urn:api#/'))
    validator(rooted).validate(body)
    return body


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """A validator for a schema whose references start with ``urn:api``."""
    return Draft202012Validator(schema, registry=REGISTRY)
