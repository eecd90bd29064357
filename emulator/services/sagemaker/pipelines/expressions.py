"""Expressions of a pipeline definition: ``Get``, ``Std:Join`` and ``Std:JsonGet``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Protocol

FUNCTIONS = ("Get", "Std:Join", "Std:JsonGet")
# ``.Name``, ``[0]``, ``['name']`` or ``["name"]``
_PART = re.compile(r"""\.?([^.\[\]'"]+)|\[(\d+)\]|\['([^']*)'\]|\["([^"]*)"\]""")
# A quoted part selects the list item with this value of one of these keys: Outputs['train'],
# FinalMetricDataList['Loss'].
LIST_KEYS = ("OutputName", "InputName", "ChannelName", "MetricName", "VariantName", "Name")


class PipelineExpressionError(Exception):
    """An expression is not valid or has no value; the message names it."""


class Scope(Protocol):
    """Values that expressions refer to.

    Each method raises `PipelineExpressionError` when the value does not exist.
    """

    def parameter(self, name: str) -> Any:
        """Value of a pipeline parameter."""

    def execution(self, name: str) -> str:
        """Value of an execution variable."""

    def step(self, name: str) -> Mapping[str, Any]:
        """Properties of a step that has succeeded."""

    def property_file(self, step: str, name: str) -> Any:
        """JSON document in a property file of a step."""

    def json_object(self, uri: str) -> Any:
        """JSON document in an S3 object."""


def function_of(value: Any) -> str | None:
    """Name of the function that a value calls; None for plain data.

    Raises:
        PipelineExpressionError: the function is not supported.
    """
    if not isinstance(value, Mapping) or len(value) != 1:
        return None
    (name,) = value
    if name in FUNCTIONS:
        return str(name)
    if str(name).startswith("Std:"):
        raise PipelineExpressionError(f"unknown function {name}")
    return None


def find_calls(value: Any) -> Iterator[tuple[str, Any]]:
    """All (function, argument) pairs in a value; outer calls before the calls nested in them."""
    name = function_of(value)
    if name:
        yield name, value[name]
    if isinstance(value, Mapping):
        for item in value.values():
            yield from find_calls(item)
    elif isinstance(value, list):
        for item in value:
            yield from find_calls(item)


def split_path(path: str) -> list[str | int]:
    """``Steps.A.Outputs['x'][0].Uri`` as ``["Steps", "A", "Outputs", "x", 0, "Uri"]``.

    Raises:
        PipelineExpressionError: the path is not valid, or has a filter or a wildcard.
    """
    parts: list[str | int] = []
    rest = path.removeprefix("$")
    while rest:
        match = _PART.match(rest)
        if match is None:
            raise PipelineExpressionError(f"{path!r} is not a path that can be read")
        plain, index, single, double = match.groups()
        parts.append(
            int(index) if index is not None else next(p for p in (plain, single, double) if p is not None)
        )
        rest = rest[match.end() :]
    if not parts or "*" in parts:
        raise PipelineExpressionError(f"{path!r} is not a path that can be read")
    return parts


def property_file_of(reference: str) -> tuple[str, str]:
    """(step, name) of ``Steps.X.PropertyFiles.Y``.

    Raises:
        PipelineExpressionError: the reference has another form.
    """
    match split_path(reference):
        case ["Steps", str(step), "PropertyFiles", str(name)]:
            return step, name
        case _:
            raise PipelineExpressionError(f"{reference!r} is not Steps.X.PropertyFiles.Y")


def value_at(value: Any, parts: list[str | int], path: str) -> Any:
    """Value at a path of a document.

    Raises:
        PipelineExpressionError: there is no value at the path.
    """
    for part in parts:
        value = _child(value, part)
        if value is None:
            raise PipelineExpressionError(f"{path}: there is no {part!r}")
    return value


def resolve(value: Any, scope: Scope) -> Any:
    """Replace every function call in a value by its result.

    Raises:
        PipelineExpressionError: a call has no result.
    """
    name = function_of(value)
    if name:
        return _FUNCTIONS[name](value[name], scope)
    if isinstance(value, Mapping):
        return {key: resolve(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, scope) for item in value]
    return value


def _to_text(value: Any) -> str:
    """Text of a value in Std:Join; numbers and booleans as in JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise PipelineExpressionError(
        f"Std:Join takes strings, numbers and booleans, not {json.dumps(value, default=str)}"
    )


def _get(path: str, scope: Scope) -> Any:
    kind, *rest = split_path(path)
    if kind == "Parameters" and len(rest) == 1:
        return scope.parameter(str(rest[0]))
    if kind == "Execution" and len(rest) == 1:
        return scope.execution(str(rest[0]))
    if kind == "Steps" and len(rest) > 1:
        return value_at(scope.step(str(rest[0])), rest[1:], path)
    raise PipelineExpressionError(f"{path!r} is neither Parameters.X, Execution.X nor Steps.X.Property")


def _join(argument: Mapping[str, Any], scope: Scope) -> str:
    values = resolve(argument.get("Values", []), scope)
    return str(argument.get("On", "")).join(_to_text(value) for value in values)


def _json_get(argument: Mapping[str, Any], scope: Scope) -> Any:
    if "PropertyFile" in argument:
        step, where = property_file_of(argument["PropertyFile"]["Get"])
        document = scope.property_file(step, where)
    else:
        where = str(resolve(argument.get("S3Uri"), scope))
        document = scope.json_object(where)
    path = str(argument.get("Path"))
    value = value_at(document, split_path(path), f"{where}: {path}")
    if isinstance(value, dict | list):
        raise PipelineExpressionError(f"{where}: {path}: the value is not a string, a number or a boolean")
    return value


def _child(value: Any, part: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int):
        return value[part] if part < len(value) else None
    if isinstance(value, list):
        return next((item for item in value if part in [item.get(key) for key in LIST_KEYS]), None)
    return None


_FUNCTIONS: dict[str, Callable[[Any, Scope], Any]] = {
    "Get": _get,
    "Std:Join": _join,
    "Std:JsonGet": _json_get,
}
