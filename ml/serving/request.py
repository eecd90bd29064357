"""Requests of the inference container: parse and validate the JSON document.

`ml.serving.inference` describes the fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from ml.contract import MAX_ID_BYTES, MAX_INSTANCES, MAX_ITEMS_PER_REQUEST, MAX_K, canonical_id, is_id
from ml.serving.recent_items import RecentItem, RecentItemsError, parse_recent_items

try:  # the container returns the status of this exception class, and 500 for any other exception
    from sagemaker_inference.errors import BaseInferenceToolkitError as _ToolkitError
except ImportError:

    class _ToolkitError(Exception):  # type: ignore[no-redef]  # stand-in outside the container
        def __init__(self, status_code: int, message: str, phrase: str) -> None:
            super().__init__(message)
            self.status_code = status_code
            self.message = message
            self.phrase = phrase


JSON = "application/json"
DEFAULT_K = 10
MAX_SHOWN = 100  # characters of a client's text in a message: TorchServe drops connections with long errors
USER_FIELDS = {"user_id", "k", "exclude_seen", "candidates", "exclude_items", "recent_items"}


class RequestError(_ToolkitError):
    """The request is invalid; `status_code` is the HTTP status, and `message` names the field.

    The container writes the phrase into the status line of its response, which no text of a client may reach.
    """

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(status.value, message, status.phrase)


@dataclass(frozen=True)
class Instance:
    """Validated request for one user; ids of items are canonical."""

    user_id: str
    k: int = DEFAULT_K
    exclude_seen: bool = True
    candidates: tuple[str, ...] | None = None
    exclude_items: tuple[str, ...] = ()
    recent_items: tuple[RecentItem, ...] | None = None  # oldest first; None: the request has no such field


def parse(body: str | bytes | bytearray, content_type: str) -> list[Instance]:
    """Parse and validate a request.

    Raises:
        RequestError: 415 for another content type, 400 for an invalid body.
    """
    if (content_type or "").split(";")[0].strip().lower() != JSON:
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"content type {str(content_type)[:MAX_SHOWN]!r}: only {JSON} is supported",
        )
    try:
        document = json.loads(body)
    except ValueError as error:  # of JSON or of UTF-8
        raise RequestError(HTTPStatus.BAD_REQUEST, f"body: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise RequestError(HTTPStatus.BAD_REQUEST, "body: expected an object with the field instances")
    _refuse_unknown(document, {"instances"}, "")
    instances = document.get("instances")
    if not isinstance(instances, list) or not 1 <= len(instances) <= MAX_INSTANCES:
        raise RequestError(
            HTTPStatus.BAD_REQUEST, f"instances: expected a list of 1 to {MAX_INSTANCES} users"
        )
    found = [_instance(each, f"instances[{position}]") for position, each in enumerate(instances)]
    if (n_items := sum(each.k for each in found)) > MAX_ITEMS_PER_REQUEST:
        raise RequestError(
            HTTPStatus.BAD_REQUEST,
            f"instances: the sum of k is {n_items}: at most {MAX_ITEMS_PER_REQUEST}, so send fewer users",
        )
    return found


def _refuse_unknown(document: Mapping[str, Any], known: set[str], path: str) -> None:
    if unknown := sorted(set(document) - known):
        raise RequestError(
            HTTPStatus.BAD_REQUEST,
            f"{path}{unknown[0][:MAX_SHOWN]}: unknown field; known are {', '.join(sorted(known))}",
        )


def _instance(document: Any, path: str) -> Instance:
    if not isinstance(document, dict):
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{path}: expected an object with the field user_id")
    _refuse_unknown(document, USER_FIELDS, f"{path}.")
    user_id = document.get("user_id")
    if not isinstance(user_id, str) or not is_id(user_id):
        raise RequestError(
            HTTPStatus.BAD_REQUEST,
            f"{path}.user_id: expected text of 1 to {MAX_ID_BYTES} bytes in UTF-8 without control characters",
        )
    k = document.get("k", DEFAULT_K)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{path}.k: expected an integer from 1 to {MAX_K}")
    exclude_seen = document.get("exclude_seen", True)
    if not isinstance(exclude_seen, bool):
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{path}.exclude_seen: expected true or false")
    candidates = _item_ids(document.get("candidates"), f"{path}.candidates")
    if candidates == ():
        raise RequestError(
            HTTPStatus.BAD_REQUEST, f"{path}.candidates: expected a list of item ids that is not empty"
        )
    try:
        recent_items = parse_recent_items(document.get("recent_items"), f"{path}.recent_items")
    except RecentItemsError as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, str(error)) from None
    return Instance(
        user_id=user_id,
        k=k,
        exclude_seen=exclude_seen,
        candidates=candidates,
        exclude_items=_item_ids(document.get("exclude_items"), f"{path}.exclude_items") or (),
        recent_items=recent_items,
    )


def _item_ids(value: Any, path: str) -> tuple[str, ...] | None:
    """Canonical ids of a list; None without one."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{path}: expected a list of item ids")
    return tuple(canonical_id(each) for each in value)
