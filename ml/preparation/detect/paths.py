"""Paths of values in nested objects: ``user.id``, ``events[].aid``, ``items[]``.

``.`` separates the keys of objects, ``[]`` stands for each element of a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LIST = "[]"
_MAX_DEPTH = 5  # objects and lists below this are not searched for columns


@dataclass(frozen=True)
class ColumnPath:
    """Steps from a row to a value."""

    lists: tuple[tuple[str, ...], ...]  # keys of each list, from the element of the list before it
    keys: tuple[str, ...]  # keys of the value in the innermost element; none: the element itself


def parse_path(text: str) -> ColumnPath:
    """The steps of a path; a text without ``.`` and ``[]`` is one key."""
    *lists, last = text.split(LIST)
    return ColumnPath(tuple(map(_keys, lists)), _keys(last))


def object_paths(row: Mapping[str, Any], prefix: str = "", depth: int = 1) -> Iterator[str]:
    """Paths of all values in an object, those of outer objects first; a list of lists has none."""
    inner: list[tuple[str, Any]] = []
    for key, value in row.items():
        path, found = f"{prefix}{key}", value
        if isinstance(value, list):
            path, found = f"{path}{LIST}", next((each for each in value if each is not None), None)
        if isinstance(found, Mapping):
            inner.append((path, found))
        elif not isinstance(found, list):
            yield path
    if depth < _MAX_DEPTH:
        for path, found in inner:
            yield from object_paths(found, f"{path}.", depth + 1)


def _keys(text: str) -> tuple[str, ...]:
    text = text.removeprefix(".")
    return tuple(text.split(".")) if text else ()
