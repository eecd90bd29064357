"""Recent items of a session: validation of the request's field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ml.contract import (
    MAX_ID_BYTES,
    MAX_RECENT_ITEMS,
    MAX_RECENT_WEIGHT,
    MIN_RECENT_WEIGHT,
    canonical_id,
    is_id,
)

ITEM_FIELDS = {"item_id", "weight"}


class RecentItemsError(ValueError):
    """The field is invalid; the message names the place and what is expected."""


@dataclass(frozen=True)
class RecentItem:
    """Item of a session, with its weight relative to the other items; the API weighs event types."""

    item_id: str  # canonical
    weight: float = 1.0


def parse_recent_items(value: Any, path: str) -> tuple[RecentItem, ...] | None:
    """The items of a request, oldest first; None if it has none.

    Args:
        value: a list of ids or of objects with `item_id`, and optionally `weight`; or None.
        path: name of the field in messages.

    Raises:
        RecentItemsError: a wrong type, too many items, or an item twice.
    """
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MAX_RECENT_ITEMS:
        raise RecentItemsError(f"{path}: expected a list of at most {MAX_RECENT_ITEMS} items")
    items = tuple(_item(each, f"{path}[{position}]") for position, each in enumerate(value))
    positions: dict[str, int] = {}
    for position, item in enumerate(items):
        if (first := positions.setdefault(item.item_id, position)) != position:
            raise RecentItemsError(f"{path}[{position}]: the same item as {path}[{first}]")
    return items


def _item(value: Any, path: str) -> RecentItem:
    document = {"item_id": value} if isinstance(value, str) else value
    if not isinstance(document, dict) or document.keys() - ITEM_FIELDS:
        raise RecentItemsError(
            f"{path}: expected an item id, or an object with item_id and optionally weight"
        )
    item_id = document.get("item_id")
    if not isinstance(item_id, str) or not is_id(item_id):
        raise RecentItemsError(
            f"{path}.item_id: expected text of 1 to {MAX_ID_BYTES} bytes in UTF-8 without control characters"
        )
    weight = document.get("weight", 1.0)
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not is_number or not MIN_RECENT_WEIGHT <= weight <= MAX_RECENT_WEIGHT:
        raise RecentItemsError(
            f"{path}.weight: expected a number from {MIN_RECENT_WEIGHT:g} to {MAX_RECENT_WEIGHT:g}"
        )
    return RecentItem(canonical_id(item_id), float(weight))
