"""Requests and responses of the recommendation API, without AWS."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

DEFAULT_K, MAX_K = 10, 1000
MAX_USERS = 100
MAX_USER_ID = 256
JSON = "application/json"

_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")  # ASCII digits: str.isdigit takes others too
_NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


class ApiError(Exception):
    """An answer other than 200.

    Args:
        status: the HTTP status.
        code: what kind of error it is, for programs.
        message: what is wrong and what to send instead, for people.
    """

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class Query:
    """Who wants recommendations, and how many each."""

    user_ids: tuple[str, ...]
    k: int


def single_query(path: Mapping[str, str], parameters: Mapping[str, str]) -> Query:
    """The query of ``GET /recommendations/{user_id}?k=10``.

    Raises:
        ApiError: 400, naming the parameter.
    """
    return Query((user_id("user_id", path.get("user_id")),), k_of_text(parameters.get("k")))


def batch_query(body: str | None, *, is_base64: bool, content_type: str | None) -> Query:
    """The query of ``POST /recommendations``: ``{"user_ids": [...], "k": 10}``, the second optional.

    Raises:
        ApiError: 415 for another content type, 400 for everything else, naming the field.
    """
    if (content_type or "").split(";")[0].strip().lower() != JSON:
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", f"send the body as {JSON}")
    document = _document(body, is_base64)
    for field in document.keys() - {"user_ids", "k"}:
        raise _bad(f"{field} is not known: send user_ids, and k if you like")
    values = document.get("user_ids")
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_USERS:
        raise _bad(f"user_ids: send a list of 1 to {MAX_USERS} texts")
    user_ids = tuple(user_id(f"user_ids[{index}]", value) for index, value in enumerate(values))
    return Query(user_ids, k_of_json(document["k"]) if "k" in document else DEFAULT_K)


def user_id(field: str, value: Any) -> str:
    """A user's id: a text of 1 to 256 printable characters."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_USER_ID or _NOT_PRINTABLE.search(value):
        raise _bad(f"{field}: send a text of 1 to {MAX_USER_ID} printable characters")
    return value


def k_of_text(text: str | None) -> int:
    """How many items, as a query string says it; 10 if it does not."""
    if text is None:
        return DEFAULT_K
    if not _WHOLE_NUMBER.fullmatch(text) or not 1 <= int(text) <= MAX_K:
        raise _bad(f"k is {text[:20]!r}: send a whole number from 1 to {MAX_K}")
    return int(text)


def k_of_json(value: Any) -> int:
    """How many items, as a JSON body says it."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_K:
        raise _bad(f"k is {str(value)[:20]}: send a whole number from 1 to {MAX_K}")
    return value


def model_request(query: Query) -> str:
    """The body for the endpoint."""
    return json.dumps({"instances": [{"user_id": user, "k": query.k} for user in query.user_ids]})


def recommendations(content: bytes, query: Query) -> tuple[list[dict[str, Any]], str]:
    """The endpoint's answer as one recommendation a user, in the order of the query, and the model's version.

    Raises:
        ApiError: 502, the answer is not of the shape that was agreed on.
    """
    try:
        answer = json.loads(content)
        found = [_recommendation(prediction) for prediction in answer["predictions"]]
        version = answer["model_version"]
    except (ValueError, KeyError, TypeError):
        raise _bad_answer() from None
    if [each["user_id"] for each in found] != list(query.user_ids) or not isinstance(version, str):
        raise _bad_answer()
    return found, version


def model_error(code: str, original_status: int | None) -> ApiError:
    """What a failed call of the endpoint means to the API's client.

    Args:
        code: the service's error code.
        original_status: the container's HTTP status, if it was the container that failed.
    """
    if original_status is not None:
        return ApiError(HTTPStatus.BAD_GATEWAY, "ModelFailed", "the model failed to answer: try again later")
    if code in ("ThrottlingException", "TooManyRequestsException"):
        return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "Busy", "too many requests at once: try again later")
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE, "ModelUnavailable", "the model cannot be reached: try again later"
    )


def _recommendation(prediction: Mapping[str, Any]) -> dict[str, Any]:
    items = [{"item_id": str(item["item_id"]), "score": float(item["score"])} for item in prediction["items"]]
    return {"user_id": prediction["user_id"], "items": items, "strategy": str(prediction["strategy"])}


def _document(body: str | None, is_base64: bool) -> Mapping[str, Any]:
    try:
        text = base64.b64decode(body or "", validate=True).decode() if is_base64 else body or ""
        document = json.loads(text)
    except (binascii.Error, ValueError, RecursionError):
        raise _bad('body: send JSON such as {"user_ids": ["42"], "k": 10}') from None
    if not isinstance(document, dict):
        raise _bad('body: send an object such as {"user_ids": ["42"], "k": 10}')
    return document


def _bad(message: str) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, "InvalidParameter", message)


def _bad_answer() -> ApiError:
    return ApiError(
        HTTPStatus.BAD_GATEWAY, "ModelFailed", "the model's answer cannot be read: try again later"
    )


def strategies(found: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many recommendations each strategy made: what a log line may tell."""
    counts: dict[str, int] = {}
    for each in found:
        counts[each["strategy"]] = counts.get(each["strategy"], 0) + 1
    return counts
