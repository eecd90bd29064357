"""The comparisons of a Condition step."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from emulator.services.sagemaker.expressions import ExpressionError

ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}
# What each kind of condition is made of.
FIELDS = {
    **{kind: {"Type", "LeftValue", "RightValue"} for kind in ("Equals", *ORDERED)},
    "In": {"Type", "QueryValue", "Values"},
    "Not": {"Type", "Condition"},
    "Or": {"Type", "Conditions"},
}


def check(condition: Mapping[str, Any]) -> None:
    """Refuses conditions that can't be evaluated.

    Raises:
        ExpressionError: an unknown kind, or one that lacks a field or has one too many.
    """
    kind = condition.get("Type")
    if kind not in FIELDS:
        raise ExpressionError(f"unknown condition type {kind!r}")
    if wrong := set(condition) ^ FIELDS[kind]:
        raise ExpressionError(f"condition {kind}: missing or unknown field {', '.join(sorted(wrong))}")
    for inner in _inner(condition):
        check(inner)


def holds(condition: Mapping[str, Any]) -> bool:
    """Whether a condition with resolved values is true.

    Raises:
        ExpressionError: values that can't be compared.
    """
    kind = condition["Type"]
    if kind == "Not":
        return not holds(condition["Condition"])
    if kind == "Or":
        return any(holds(inner) for inner in condition["Conditions"])
    if kind == "In":
        return any(_equal(condition["QueryValue"], value) for value in condition["Values"])
    left, right = condition["LeftValue"], condition["RightValue"]
    if kind == "Equals":
        return _equal(left, right)
    if _is_number(left) != _is_number(right) or not isinstance(left, str | int | float):
        raise ExpressionError(f"condition {kind}: {left!r} and {right!r} can't be compared")
    return ORDERED[kind](left, right)


def _inner(condition: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if condition["Type"] == "Not":
        yield condition["Condition"]
    elif condition["Type"] == "Or":
        yield from condition["Conditions"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(left: Any, right: Any) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and left == right
