"""Requests of the recommendation API, without AWS calls."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from ids import ApiError, id_of, invalid_parameter
from recent_items import RecentItem, parse_recent_items

# The limits and the rule for ids are those of ml/contract.py; the tests compare them.
DEFAULT_K, MAX_K = 10, 1000
MAX_USERS = 100
MAX_ITEMS = 2500  # users times k: the size of the response is limited
MAX_ITEM_IDS = 1000  # in candidates and in exclude_items
BODY_FIELDS = {"user_ids", "k", "candidates", "exclude_items", "recent_items"}
JSON = "application/json"

_DECIMAL_INTEGER = re.compile(r"[0-9]{1,9}")  # ASCII digits only, unlike str.isdigit


@dataclass(frozen=True)
class Query:
    """Users, and the number of items per user.

    Attributes:
        candidates: items to choose from; None: the catalogue.
        exclude_items: items that are not recommended.
        recent_items: of the only user, newest last; None: the request has none.
    """

    user_ids: tuple[str, ...]
    k: int
    candidates: tuple[str, ...] | None = None
    exclude_items: tuple[str, ...] = ()
    recent_items: tuple[RecentItem, ...] | None = None


def single_query(path: Mapping[str, str], parameters: Mapping[str, str]) -> Query:
    """The query of ``GET /recommendations/{user_id}?k=10``.

    Raises:
        ApiError: 400, naming the parameter.
    """
    return Query((id_of("user_id", path.get("user_id")),), k_of_text(parameters.get("k")))


def batch_query(
    body: str | None,
    *,
    is_base64: bool,
    content_type: str | None,
    event_weights: Mapping[str, float] | None = None,
) -> Query:
    """The query of ``POST /recommendations``: ``{"user_ids": [...], "k": 10, "recent_items": [...]}``.

    All fields except `user_ids` are optional. `candidates` and `exclude_items` are those of every user; a
    session is that of one user, so that `recent_items` needs a single one.

    Raises:
        ApiError: 415 for another content type; 400 for every other mistake, naming the field.
    """
    if (content_type or "").split(";")[0].strip().lower() != JSON:
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", f"send the body as {JSON}")
    document = _document(body, is_base64)
    for field in document.keys() - BODY_FIELDS:
        known = "k, candidates, exclude_items and recent_items"
        raise invalid_parameter(f"{field[:20]} is not known: send user_ids, and optionally {known}")
    values = document.get("user_ids")
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_USERS:
        raise invalid_parameter(f"user_ids: send a list of 1 to {MAX_USERS} strings")
    user_ids = tuple(id_of(f"user_ids[{index}]", value) for index, value in enumerate(values))
    k = k_of_json(document["k"]) if "k" in document else DEFAULT_K
    if len(user_ids) * k > MAX_ITEMS:
        raise invalid_parameter(
            f"user_ids and k ask for {len(user_ids)} x {k} items: at most {MAX_ITEMS} in one request, "
            "so send fewer users or a smaller k"
        )
    recent_items = None
    if "recent_items" in document:
        if len(user_ids) > 1:
            raise invalid_parameter("recent_items: send them with one user in user_ids, whose they are")
        recent_items = parse_recent_items(document["recent_items"], event_weights or {})
    return Query(
        user_ids,
        k,
        candidates=item_ids("candidates", document["candidates"], 1) if "candidates" in document else None,
        exclude_items=item_ids("exclude_items", document.get("exclude_items", []), 0),
        recent_items=recent_items,
    )


def item_ids(field: str, value: Any, at_least: int) -> tuple[str, ...]:
    """A list of item ids."""
    if not isinstance(value, list) or not at_least <= len(value) <= MAX_ITEM_IDS:
        raise invalid_parameter(f"{field}: send a list of {at_least} to {MAX_ITEM_IDS} strings")
    return tuple(id_of(f"{field}[{index}]", item) for index, item in enumerate(value))


def k_of_text(text: str | None) -> int:
    """Number of items from the query string; the default without one."""
    if text is None:
        return DEFAULT_K
    if not _DECIMAL_INTEGER.fullmatch(text) or not 1 <= int(text) <= MAX_K:
        raise invalid_parameter(f"k is {text[:20]!r}: send an integer from 1 to {MAX_K}")
    return int(text)


def k_of_json(value: Any) -> int:
    """Number of items from the JSON body."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_K:
        raise invalid_parameter(f"k is {str(value)[:20]}: send an integer from 1 to {MAX_K}")
    return value


def _document(body: str | None, is_base64: bool) -> Mapping[str, Any]:
    try:
        text = base64.b64decode(body or "", validate=True).decode() if is_base64 else body or ""
        document = json.loads(text)
    except (binascii.Error, ValueError, RecursionError):
        raise invalid_parameter('body: send JSON such as {"user_ids": ["42"], "k": 10}') from None
    if not isinstance(document, dict):
        raise invalid_parameter('body: send an object such as {"user_ids": ["42"], "k": 10}')
    return document
