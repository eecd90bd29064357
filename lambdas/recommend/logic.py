"""Requests and responses of the recommendation API, without AWS calls."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

# The limits and the rule for ids are those of ml/contract.py; the tests compare them.
DEFAULT_K, MAX_K = 10, 1000
MAX_USERS = 100
MAX_ITEMS = 2500  # users times k: the size of the response is limited
MAX_ID_BYTES = 512  # in UTF-8
MAX_ITEM_IDS = 1000  # in candidates
MAX_REQUEST_BYTES = 5 * 1024 * 1024  # to the endpoint; its limit is 6 MB (SageMaker endpoints and quotas)
BODY_FIELDS = {"user_ids", "k", "candidates"}
JSON = "application/json"
MODEL_STRATEGIES = ("ncf", "popular")

_DECIMAL_INTEGER = re.compile(r"[0-9]{1,9}")  # ASCII digits only, unlike str.isdigit
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
_WHOLE_NUMBER = re.compile(r"(?:-(?=0\.))?(-?[0-9]+)\.0+")  # group 1: the number; -0.0 is 0


class ApiError(Exception):
    """Error response.

    Args:
        status: HTTP status.
        code: machine-readable error code.
        message: the cause and the expected input.
    """

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class ModelError(ApiError):
    """The model did not answer; the error response if there is no popular list either.

    Attributes:
        is_outage: other requests would fail too, so that the circuit breaker counts it.
    """

    def __init__(self, status: HTTPStatus, code: str, message: str, *, is_outage: bool = True) -> None:
        super().__init__(status, code, message)
        self.is_outage = is_outage


@dataclass(frozen=True)
class Query:
    """Users, and the number of items per user.

    Attributes:
        candidates: items to choose from; None: the catalogue.
    """

    user_ids: tuple[str, ...]
    k: int
    candidates: tuple[str, ...] | None = None


def single_query(path: Mapping[str, str], parameters: Mapping[str, str]) -> Query:
    """The query of ``GET /recommendations/{user_id}?k=10``.

    Raises:
        ApiError: 400, naming the parameter.
    """
    return Query((user_id("user_id", path.get("user_id")),), k_of_text(parameters.get("k")))


def batch_query(body: str | None, *, is_base64: bool, content_type: str | None) -> Query:
    """The query of ``POST /recommendations``: ``{"user_ids": [...], "k": 10, "candidates": [...]}``.

    `k` and `candidates` are optional.

    Raises:
        ApiError: 415 for another content type; 400 for every other mistake, naming the field.
    """
    if (content_type or "").split(";")[0].strip().lower() != JSON:
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", f"send the body as {JSON}")
    document = _document(body, is_base64)
    for field in document.keys() - BODY_FIELDS:
        raise _invalid_parameter(f"{field[:20]} is not known: send user_ids, and optionally k and candidates")
    values = document.get("user_ids")
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_USERS:
        raise _invalid_parameter(f"user_ids: send a list of 1 to {MAX_USERS} strings")
    user_ids = tuple(user_id(f"user_ids[{index}]", value) for index, value in enumerate(values))
    k = k_of_json(document["k"]) if "k" in document else DEFAULT_K
    if len(user_ids) * k > MAX_ITEMS:
        raise _invalid_parameter(
            f"user_ids and k ask for {len(user_ids)} x {k} items: at most {MAX_ITEMS} in one request, "
            "so send fewer users or a smaller k"
        )
    candidates = item_ids("candidates", document["candidates"], 1) if "candidates" in document else None
    return Query(user_ids, k, candidates)


def item_ids(field: str, value: Any, at_least: int) -> tuple[str, ...]:
    """A list of item ids."""
    if not isinstance(value, list) or not at_least <= len(value) <= MAX_ITEM_IDS:
        raise _invalid_parameter(f"{field}: send a list of {at_least} to {MAX_ITEM_IDS} strings")
    return tuple(user_id(f"{field}[{index}]", item) for index, item in enumerate(value))


def user_id(field: str, value: Any) -> str:
    """An id of a user or item: not blank, at most 512 bytes in UTF-8, no control character."""
    if not isinstance(value, str) or not _is_id(value):
        raise _invalid_parameter(
            f"{field}: send a string of 1 to {MAX_ID_BYTES} bytes in UTF-8 without control characters"
        )
    return value


def canonical_id(text: str) -> str:
    """The id that a text stands for: without white space at its ends, and ``7`` for ``7.0``."""
    trimmed = text.strip(" \t\n\v\f\r")
    number = _WHOLE_NUMBER.fullmatch(trimmed)
    return number[1] if number else trimmed


def _is_id(text: str) -> bool:
    try:
        n_bytes = len(text.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return n_bytes <= MAX_ID_BYTES and bool(text.strip(" ")) and not _CONTROL_CHARACTER.search(text)


def k_of_text(text: str | None) -> int:
    """Number of items from the query string; the default without one."""
    if text is None:
        return DEFAULT_K
    if not _DECIMAL_INTEGER.fullmatch(text) or not 1 <= int(text) <= MAX_K:
        raise _invalid_parameter(f"k is {text[:20]!r}: send an integer from 1 to {MAX_K}")
    return int(text)


def k_of_json(value: Any) -> int:
    """Number of items from the JSON body."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_K:
        raise _invalid_parameter(f"k is {str(value)[:20]}: send an integer from 1 to {MAX_K}")
    return value


def model_request(query: Query) -> str:
    """Request body of the endpoint.

    Raises:
        ApiError: 400, the request is too large for the endpoint.
    """
    shared: dict[str, Any] = {"k": query.k}
    if query.candidates is not None:
        shared["candidates"] = query.candidates
    body = json.dumps({"instances": [{"user_id": user, **shared} for user in query.user_ids]})
    if len(body) > MAX_REQUEST_BYTES:
        raise _invalid_parameter("user_ids and candidates: too large in one request, so send fewer of them")
    return body


def recommendations(content: bytes, query: Query) -> tuple[list[dict[str, Any]], str]:
    """Parse the response of the endpoint: one recommendation per user, in query order, and the model version.

    Raises:
        ModelError: 502, the response does not have the expected structure.
    """
    try:
        answer = json.loads(content)
        found = [_recommendation(prediction) for prediction in answer["predictions"]]
        version = answer["model_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _invalid_response() from None
    if [each["user_id"] for each in found] != list(query.user_ids) or not isinstance(version, str):
        raise _invalid_response()
    return found, version


def model_timeout() -> ModelError:
    """The endpoint did not answer within the time budget."""
    return ModelError(
        HTTPStatus.GATEWAY_TIMEOUT, "ModelTimeout", "the model did not respond in time: try again later"
    )


def model_error(code: str, original_status: int | None) -> ModelError:
    """Failed invocation of the endpoint.

    Args:
        code: error code of the service.
        original_status: HTTP status of the container, if the container failed. With 4xx it refused this
            request only, such as one with fields that an older model does not know.
    """
    if original_status is not None:
        is_outage = not HTTPStatus.BAD_REQUEST <= original_status < HTTPStatus.INTERNAL_SERVER_ERROR
        message = "the model failed: try again later"
        return ModelError(HTTPStatus.BAD_GATEWAY, "ModelFailed", message, is_outage=is_outage)
    if code in ("ThrottlingException", "TooManyRequestsException"):
        return ModelError(
            HTTPStatus.SERVICE_UNAVAILABLE, "Busy", "too many requests at once: try again later"
        )
    return ModelError(
        HTTPStatus.SERVICE_UNAVAILABLE, "ModelUnavailable", "the model cannot be reached: try again later"
    )


def _recommendation(prediction: Mapping[str, Any]) -> dict[str, Any]:
    items = [{"item_id": str(item["item_id"]), "score": float(item["score"])} for item in prediction["items"]]
    if not all(math.isfinite(item["score"]) for item in items):
        raise ValueError("a score is not finite")
    if prediction["strategy"] not in MODEL_STRATEGIES:
        raise ValueError("the strategy is not known")
    return {"user_id": prediction["user_id"], "items": items, "strategy": prediction["strategy"]}


def _document(body: str | None, is_base64: bool) -> Mapping[str, Any]:
    try:
        text = base64.b64decode(body or "", validate=True).decode() if is_base64 else body or ""
        document = json.loads(text)
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid_parameter('body: send JSON such as {"user_ids": ["42"], "k": 10}') from None
    if not isinstance(document, dict):
        raise _invalid_parameter('body: send an object such as {"user_ids": ["42"], "k": 10}')
    return document


def _invalid_parameter(message: str) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, "InvalidParameter", message)


def _invalid_response() -> ModelError:
    return ModelError(
        HTTPStatus.BAD_GATEWAY, "ModelFailed", "the response of the model is invalid: try again later"
    )


def strategies(found: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Number of recommendations per strategy, for the log."""
    counts: dict[str, int] = {}
    for each in found:
        counts[each["strategy"]] = counts.get(each["strategy"], 0) + 1
    return counts
