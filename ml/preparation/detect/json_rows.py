"""Sampled rows of JSON lines, or of lines with Python literals; nested values have a path."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ml.preparation.detect.paths import ColumnPath, object_paths, parse_path
from ml.preparation.detect.samples import Samples

_MAX_ELEMENTS = 50  # of the list of a row


def parse_objects(lines: Sequence[str]) -> tuple[list[dict[str, Any]], bool]:
    """The lines that are objects, and whether they are Python literals instead of JSON."""
    objects = [found for line in lines if (found := _json_object(line)) is not None]
    if objects:
        return objects, False
    objects = [found for line in lines if (found := _python_object(line)) is not None]
    return objects, bool(objects)


def sample_objects(objects: Sequence[Mapping[str, Any]]) -> Samples:
    """The values of all paths, in order of first appearance; one row per element of the first list."""
    paths = list(dict.fromkeys(path for each in objects for path in object_paths(each)))
    return sample_paths(paths, objects)


def sample_paths(paths: Sequence[str], objects: Sequence[Mapping[str, Any]]) -> Samples:
    """As `sample_objects`, with known paths."""
    parsed = [parse_path(path) for path in paths]
    return Samples(paths, [row for each in objects for row in _rows(each, parsed)])


def _rows(row: Mapping[str, Any], paths: Sequence[ColumnPath]) -> Iterator[list[str]]:
    lists = next((path.lists for path in paths if path.lists), None)
    elements = _at(row, lists[0]) if lists else None
    if not isinstance(elements, list) or not elements:
        yield [_text(None if path.lists else _at(row, path.keys)) for path in paths]
        return
    for element in islice(elements, _MAX_ELEMENTS):
        yield [_text(_in_element(row, element, path, lists[0] if lists else ())) for path in paths]


def _in_element(row: Any, element: Any, path: ColumnPath, first: tuple[str, ...]) -> Any:
    if not path.lists:
        return _at(row, path.keys)
    if path.lists[0] != first:
        return None
    for keys in path.lists[1:]:
        inner = _at(element, keys)
        element = inner[0] if isinstance(inner, list) and inner else None
    return _at(element, path.keys)


def _at(value: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _json_object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _python_object(line: str) -> dict[str, Any] | None:
    try:
        found = ast.literal_eval(line.strip())
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    return found if isinstance(found, dict) else None
