"""Differences of two JSON values as changed leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, NamedTuple

ABSENT = "(not set)"
IDENTITIES = ("id", "Sid", "name", "key", "Key", "Name")  # fields that identify an item of a list


class Leaf(NamedTuple):
    """A changed value.

    Attributes:
        path: dotted, with list positions: `rules[0].days`; inside a JSON document after a colon.
    """

    path: str
    old: Any
    new: Any


def leaves(old: Any, new: Any, path: str = "") -> Iterator[Leaf]:
    """Changed leaves, in the order of their paths; JSON documents are compared by content."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            name = f"{path}.{key}" if path and not path.endswith(":") else f"{path}{key}"
            yield from leaves(old.get(key, ABSENT), new.get(key, ABSENT), name)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _lists(old, new, path)
    else:
        documents = _document(old), _document(new)
        if documents[0] is None or documents[1] is None:
            yield Leaf(path, old, new)
        else:
            yield from leaves(*documents, f"{path}:")


def input_path(path: str) -> str:
    """Path without list positions and without what is inside a document: `rules.days`."""
    outside = path.partition(":")[0]
    return "".join(part.partition("]")[2] if "]" in part else part for part in outside.split("["))


def _document(value: Any) -> Any:
    if not isinstance(value, str) or value[:1] not in "{[":
        return None
    try:
        return json.loads(value)
    except ValueError:
        return None


def _lists(old: list[Any], new: list[Any], path: str) -> Iterator[Leaf]:
    identity = _identity(old, new)
    if identity is not None:
        by_old, by_new = ({item[identity]: item for item in items} for items in (old, new))
        for name in dict.fromkeys([*by_old, *by_new]):
            yield from leaves(by_old.get(name, ABSENT), by_new.get(name, ABSENT), f"{path}[{name}]")
        return
    texts = [[json.dumps(item, sort_keys=True) for item in items] for items in (old, new)]
    if all(not isinstance(item, dict) for item in (*old, *new)) and sorted(texts[0]) == sorted(texts[1]):
        yield Leaf(path, old, new)  # another order
        return
    for tag, i, j, k, m in SequenceMatcher(a=texts[0], b=texts[1], autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        for step in range(max(j - i, m - k)):
            before = old[i + step] if i + step < j else ABSENT
            after = new[k + step] if k + step < m else ABSENT
            yield from leaves(before, after, f"{path}[{(k if k + step < m else i) + step}]")


def _identity(old: list[Any], new: list[Any]) -> str | None:
    """Field with which every item of both lists is identified."""
    items = (*old, *new)
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    for name in IDENTITIES:
        if all(isinstance(item.get(name), str) for item in items) and all(
            len({item[name] for item in each}) == len(each) for each in (old, new)
        ):
            return name
    return None
