"""Constraints of a service model: required members, types, lengths, ranges, patterns and enums.

The wording is that of AWS's services ("Member must have length less than or equal to 64").
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.utils import parse_timestamp

from emulator.validation.patterns import compile_pattern

INTEGERS = {"byte": 8, "short": 16, "integer": 32, "long": 64}
FLOATS = ("float", "double")
NAMED_LIMITS = re.compile(r"(?:String|Integer)WithLengthBetween(\d+)And(\d+)")
JSON_KINDS = {bool: "BOOLEAN_VALUE", int: "NUMBER_VALUE", float: "NUMBER_VALUE", str: "STRING_VALUE"}


class TypeMismatchError(Exception):
    """A value has a type that the member cannot have; the services do not parse such a request."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True)
class Violation:
    """One constraint that a value does not satisfy.

    Attributes:
        path: the member, in the services' notation: ``tags.1.member.key``.
        kind: required, unknown, pattern, length, range, enum, union or members.
        text: the constraint, for example "Member must not be null".
        value: the value as text; None if it is sensitive.
    """

    path: str
    kind: str
    text: str
    value: str | None

    @property
    def member(self) -> str:
        """Name of the member without the structures that contain it."""
        return self.path.rpartition(".")[2]


def violations(shape: Shape, value: Any, path: str = "") -> Iterator[Violation]:
    """Constraints that an input does not satisfy.

    Raises:
        TypeMismatchError: a value does not have the type of its member.
    """
    if isinstance(shape, StructureShape):
        if not shape.is_document_type:
            yield from _structure(shape, value, path)
    elif isinstance(shape, ListShape):
        yield from _list(shape, value, path)
    elif isinstance(shape, MapShape):
        yield from _map(shape, value, path)
    else:
        for kind, text in _scalar(shape, value, path):
            yield Violation(path, kind, text, _shown(shape, value))


def _structure(shape: StructureShape, value: Any, path: str) -> Iterator[Violation]:
    if not isinstance(value, dict):
        raise TypeMismatchError(path, _unexpected(value, "structure"))
    members = shape.members
    for name in shape.required_members:
        if value.get(name) is None:
            yield Violation(_join(path, name), "required", "Member must not be null", "null")
    given = [name for name, item in value.items() if item is not None]
    for name in given:
        member = members.get(name)
        if member is None:
            text = "Member must be one of the members of the service's model"
            yield Violation(_join(path, name), "unknown", text, _shown(shape, value[name]))
        elif not member.serialization.get("jsonvalue"):
            yield from violations(member, value[name], _join(path, name))
    if shape.is_tagged_union and len(given) != 1:
        yield Violation(path, "union", "Exactly one member must be set", _shown(shape, value))


def _list(shape: ListShape, value: Any, path: str) -> Iterator[Violation]:
    if not isinstance(value, list):
        raise TypeMismatchError(path, _unexpected(value, "list"))
    for text in _length(shape, len(value)):
        yield Violation(path, "length", text, _shown(shape, value))
    member = shape.member
    if isinstance(member, StructureShape | ListShape | MapShape):
        for number, item in enumerate(value, 1):
            yield from violations(member, item, f"{path}.{number}.member")
    elif any(kinds := [list(_scalar(member, item, path)) for item in value]):
        kind = next(found[0][0] for found in kinds if found)
        text = f"Member must satisfy constraint: [{', '.join(_all_texts(member))}]"
        yield Violation(path, kind, text, _shown(shape, value))


def _map(shape: MapShape, value: Any, path: str) -> Iterator[Violation]:
    if not isinstance(value, dict):
        raise TypeMismatchError(path, _unexpected(value, "structure"))
    for text in _length(shape, len(value)):
        yield Violation(path, "length", text, _shown(shape, value))
    for part, items, label in (
        (shape.key, list(value), "Map keys"),
        (shape.value, list(value.values()), "Map value"),
    ):
        if isinstance(part, StructureShape | ListShape | MapShape):
            for name, item in value.items():
                yield from violations(part, item, f"{path}.{name}.member")
        elif any(kinds := [list(_scalar(part, item, path)) for item in items]):
            kind = next(found[0][0] for found in kinds if found)
            text = f"{label} must satisfy constraint: [{', '.join(_all_texts(part))}]"
            yield Violation(path, kind, text, _shown(part, value))


# -- scalars ------------------------------------------------------------------------------------------
def _scalar(shape: Shape, value: Any, path: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of each constraint that a scalar does not satisfy."""
    kind = shape.type_name
    if kind == "string":
        yield from _string(shape, value, path)
    elif kind in INTEGERS:
        yield from _range(shape, _integer(kind, value, path))
    elif kind in FLOATS:
        yield from _range(shape, _float(value, path))
    elif kind == "boolean":
        if not isinstance(value, bool):
            raise TypeMismatchError(path, _unexpected(value, "Boolean"))
    elif kind == "timestamp":
        _require_timestamp(value, path)
    elif kind == "blob":
        for text in _length(shape, _blob_length(shape, value, path)):
            yield "length", text


def _string(shape: Shape, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, bytes):  # the payload of a REST request
        value = value.decode(errors="replace")
    if not isinstance(value, str):
        raise TypeMismatchError(path, _unexpected(value, "String"))
    for text in _length(shape, len(value)):
        yield "length", text
    if (pattern := shape.metadata.get("pattern")) and not compile_pattern(pattern).fullmatch(value):
        yield "pattern", _pattern_text(pattern)
    if (enum := shape.metadata.get("enum")) and value not in enum:
        yield "enum", _enum_text(enum)


def _integer(kind: str, value: Any, path: str) -> int:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    bound = 2 ** (INTEGERS[kind] - 1)
    if not is_number or value != value // 1 or not -bound <= value < bound:
        raise TypeMismatchError(path, _unexpected(value, kind.capitalize()))
    return int(value)


def _float(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeMismatchError(path, _unexpected(value, "Double"))
    return float(value)


def _require_timestamp(value: Any, path: str) -> None:
    """Seconds since 1970 or ISO 8601 in JSON, ISO 8601 or a date of HTTP elsewhere."""
    try:
        if isinstance(value, bool):
            raise TypeError
        moment = parse_timestamp(value)
        if not isinstance(moment, datetime):
            raise TypeError
    except (TypeError, ValueError, OverflowError):
        raise TypeMismatchError(path, _unexpected(value, "Timestamp")) from None


def _blob_length(shape: Shape, value: Any, path: str) -> int:
    if isinstance(value, bytes):
        return len(value)
    if shape.serialization.get("location"):
        return len(str(value))
    try:
        return len(base64.b64decode(value, validate=True))
    except (TypeError, ValueError, binascii.Error):
        raise TypeMismatchError(path, _unexpected(value, "ByteBuffer")) from None


def _length(shape: Shape, length: int) -> Iterator[str]:
    low, high = _limits(shape)
    if high is not None and length > high:
        yield f"Member must have length less than or equal to {high}"
    if low is not None and length < low:
        yield f"Member must have length greater than or equal to {low}"


def _range(shape: Shape, value: float) -> Iterator[tuple[str, str]]:
    low, high = _limits(shape)
    if high is not None and value > high:
        yield "range", f"Member must have value less than or equal to {high}"
    if low is not None and (value < low or math.isnan(value)):
        yield "range", f"Member must have value greater than or equal to {low}"


def _limits(shape: Shape) -> tuple[Any, Any]:
    """Least and greatest length or value; API Gateway's model has them in the names of its shapes."""
    if named := NAMED_LIMITS.fullmatch(shape.name):
        return int(named[1]), int(named[2])
    return shape.metadata.get("min"), shape.metadata.get("max")


def _all_texts(shape: Shape) -> list[str]:
    """Every constraint of a scalar: the services list all for the values of lists and maps."""
    low, high = _limits(shape)
    what = "length" if shape.type_name in ("string", "blob") else "value"
    texts = []
    if high is not None:
        texts.append(f"Member must have {what} less than or equal to {high}")
    if low is not None:
        texts.append(f"Member must have {what} greater than or equal to {low}")
    if pattern := shape.metadata.get("pattern"):
        texts.append(_pattern_text(pattern))
    if enum := shape.metadata.get("enum"):
        texts.append(_enum_text(enum))
    return texts


def _pattern_text(pattern: str) -> str:
    return f"Member must satisfy regular expression pattern: {pattern}"


def _enum_text(values: list[str]) -> str:
    return f"Member must satisfy enum value set: [{', '.join(values)}]"


# -- texts --------------------------------------------------------------------------------------------
def _join(path: str, name: str) -> str:
    """Path of a member; the services' paths begin with a small letter."""
    first = name[0].lower() + name[1:]
    return f"{path}.{first}" if path else first


def _shown(shape: Shape, value: Any) -> str | None:
    """Value as the services print it; None for sensitive ones."""
    if shape.metadata.get("sensitive"):
        return None
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}={_shown(shape, item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(str(_shown(shape, item)) for item in value) + "]"
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _unexpected(value: Any, wanted: str) -> str:
    """Message of AWS's JSON parser for a value of another type."""
    if isinstance(value, dict):
        return "Start of structure or map found where not expected."
    if isinstance(value, list):
        return "Start of list found where not expected"
    if wanted in ("structure", "list"):
        return f"Unexpected value type in payload: {JSON_KINDS.get(type(value), 'value')} is not a {wanted}"
    return f"{JSON_KINDS.get(type(value), 'value')} cannot be converted to {wanted}"
