"""What a pipeline definition may write instead of a value: ``Get``, ``Std:Join`` and ``Std:JsonGet``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Protocol

FUNCTIONS = ("Get", "Std:Join", "Std:JsonGet")
# ``.Name``, ``[0]``, ``['name']`` or ``["name"]``
_PART = re.compile(r"""\.?([^.\[\]'"]+)|\[(\d+)\]|\['([^']*)'\]|\["([^"]*)"\]""")
# In a list of these a part in quotes is the value of the key: Outputs['train'], FinalMetricDataList['Loss'].
LIST_KEYS = ("OutputName", "InputName", "ChannelName", "MetricName", "VariantName", "Name")


class ExpressionError(Exception):
    """An expression that is wrong, or has no value; the message names it."""


class Scope(Protocol):
    """Where an expression finds its values. Each method raises ExpressionError for what it does not have."""

    def parameter(self, name: str) -> Any:
        """A parameter's value in this execution."""

    def execution(self, name: str) -> str:
        """An execution variable."""

    def step(self, name: str) -> Mapping[str, Any]:
        """The properties of a step that has succeeded."""

    def property_file(self, step: str, name: str) -> Any:
        """The JSON document of a step's property file."""

    def json_object(self, uri: str) -> Any:
        """The JSON document in an S3 object."""


def function_of(value: Any) -> str | None:
    """The function that a value calls, None for plain data.

    Raises:
        ExpressionError: a function that the emulator does not know.
    """
    if not isinstance(value, Mapping) or len(value) != 1:
        return None
    (name,) = value
    if name in FUNCTIONS:
        return str(name)
    if str(name).startswith("Std:"):
        raise ExpressionError(f"unknown function {name}")
    return None


def calls(value: Any) -> Iterator[tuple[str, Any]]:
    """Every (function, argument) in a value, inner ones after the ones that hold them."""
    name = function_of(value)
    if name:
        yield name, value[name]
    if isinstance(value, Mapping):
        for item in value.values():
            yield from calls(item)
    elif isinstance(value, list):
        for item in value:
            yield from calls(item)


def split_path(path: str) -> list[str | int]:
    """``Steps.A.Outputs['x'][0].Uri`` as ``["Steps", "A", "Outputs", "x", 0, "Uri"]``.

    Raises:
        ExpressionError: it is no such path (filters and wildcards are not).
    """
    parts: list[str | int] = []
    rest = path.removeprefix("$")
    while rest:
        match = _PART.match(rest)
        if match is None:
            raise ExpressionError(f"{path!r} is not a path that can be read")
        plain, index, single, double = match.groups()
        parts.append(
            int(index) if index is not None else next(p for p in (plain, single, double) if p is not None)
        )
        rest = rest[match.end() :]
    if not parts or "*" in parts:
        raise ExpressionError(f"{path!r} is not a path that can be read")
    return parts


def property_file_of(reference: str) -> tuple[str, str]:
    """(step, name) of ``Steps.X.PropertyFiles.Y``.

    Raises:
        ExpressionError: it is no such reference.
    """
    match split_path(reference):
        case ["Steps", str(step), "PropertyFiles", str(name)]:
            return step, name
        case _:
            raise ExpressionError(f"{reference!r} is not Steps.X.PropertyFiles.Y")


def dig(value: Any, parts: list[str | int], path: str) -> Any:
    """The value at a path inside a document.

    Raises:
        ExpressionError: there is nothing at the path.
    """
    for part in parts:
        value = _child(value, part)
        if value is None:
            raise ExpressionError(f"{path}: there is no {part!r}")
    return value


def resolve(value: Any, scope: Scope) -> Any:
    """The value with every function replaced by what it gives.

    Raises:
        ExpressionError: a function that has no value here.
    """
    name = function_of(value)
    if name:
        return _FUNCTIONS[name](value[name], scope)
    if isinstance(value, Mapping):
        return {key: resolve(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, scope) for item in value]
    return value


def text_of(value: Any) -> str:
    """A value as part of a joined text: JSON's spelling of numbers and booleans.

    Raises:
        ExpressionError: a list or an object.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise ExpressionError(f"Std:Join takes texts, numbers and booleans, not {json.dumps(value, default=str)}")


def _get(path: str, scope: Scope) -> Any:
    kind, *rest = split_path(path)
    if kind == "Parameters" and len(rest) == 1:
        return scope.parameter(str(rest[0]))
    if kind == "Execution" and len(rest) == 1:
        return scope.execution(str(rest[0]))
    if kind == "Steps" and len(rest) > 1:
        return dig(scope.step(str(rest[0])), rest[1:], path)
    raise ExpressionError(f"{path!r} is neither Parameters.X, Execution.X nor Steps.X.Property")


def _join(argument: Mapping[str, Any], scope: Scope) -> str:
    values = resolve(argument.get("Values", []), scope)
    return str(argument.get("On", "")).join(text_of(value) for value in values)


def _json_get(argument: Mapping[str, Any], scope: Scope) -> Any:
    if "PropertyFile" in argument:
        step, where = property_file_of(argument["PropertyFile"]["Get"])
        document = scope.property_file(step, where)
    else:
        where = str(resolve(argument.get("S3Uri"), scope))
        document = scope.json_object(where)
    path = str(argument.get("Path"))
    value = dig(document, split_path(path), f"{where}: {path}")
    if isinstance(value, dict | list):
        raise ExpressionError(f"{where}: {path}: Std:JsonGet takes a text, a number or a boolean")
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
