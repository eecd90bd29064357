"""The field ``recent_items``: what a user did since the model was trained, or in this session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ids import canonical_id, id_of, invalid_parameter

MAX_RECENT_ITEMS = 200
MIN_WEIGHT, MAX_WEIGHT = 0.001, 1000.0
MAX_EVENT_LENGTH = 64  # characters
FIELDS = {"item_id", "event", "weight"}


@dataclass(frozen=True)
class RecentItem:
    """An item, and its weight relative to the other recent items."""

    item_id: str
    weight: float = 1.0


def parse_recent_items(value: Any, event_weights: Mapping[str, float]) -> tuple[RecentItem, ...]:
    """The recent items of a request, newest last.

    Args:
        value: a list of ids, or of objects with `item_id`, and optionally `weight` or `event`.
        event_weights: weight of an event type; other types weigh 1.

    Raises:
        ApiError: 400, naming the field: a wrong type, too many items, or an item twice.
    """
    if not isinstance(value, list) or len(value) > MAX_RECENT_ITEMS:
        raise invalid_parameter(f"recent_items: send a list of at most {MAX_RECENT_ITEMS} items, newest last")
    items = tuple(_item(f"recent_items[{index}]", item, event_weights) for index, item in enumerate(value))
    first: dict[str, int] = {}
    for index, item in enumerate(items):
        earlier = first.setdefault(canonical_id(item.item_id), index)
        if earlier != index:
            raise invalid_parameter(
                f"recent_items[{index}] is the same item as recent_items[{earlier}]: send each item once"
            )
    return items


def _item(field: str, value: Any, event_weights: Mapping[str, float]) -> RecentItem:
    if isinstance(value, str):
        return RecentItem(id_of(field, value))
    if not isinstance(value, dict) or value.keys() - FIELDS or {"event", "weight"} <= value.keys():
        raise invalid_parameter(
            f"{field}: send an item id, or an object with item_id and optionally event or weight"
        )
    item_id = id_of(f"{field}.item_id", value.get("item_id"))
    if "event" in value:
        event = value["event"]
        if not isinstance(event, str) or not 1 <= len(event) <= MAX_EVENT_LENGTH:
            raise invalid_parameter(f"{field}.event: send a string of 1 to {MAX_EVENT_LENGTH} characters")
        return RecentItem(item_id, min(max(event_weights.get(event, 1.0), MIN_WEIGHT), MAX_WEIGHT))
    weight = value.get("weight", 1.0)
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not is_number or not MIN_WEIGHT <= weight <= MAX_WEIGHT:
        raise invalid_parameter(f"{field}.weight: send a number from {MIN_WEIGHT:g} to {MAX_WEIGHT:g}")
    return RecentItem(item_id, float(weight))
