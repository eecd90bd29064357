"""Conditions of a Condition step: validation and evaluation."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from emulator.services.sagemaker.pipelines.expressions import PipelineExpressionError

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}
# Fields of each type of condition.
FIELDS = {
    **{kind: {"Type", "LeftValue", "RightValue"} for kind in ("Equals", *COMPARISONS)},
    "In": {"Type", "QueryValue", "Values"},
    "Not": {"Type", "Condition"},
    "Or": {"Type", "Conditions"},
}


def check(condition: Mapping[str, Any]) -> None:
    """Check that a condition can be evaluated.

    Raises:
        PipelineExpressionError: unknown type, missing field or unknown field.
    """
    kind = condition.get("Type")
    if kind not in FIELDS:
        raise PipelineExpressionError(f"unknown condition type {kind!r}")
    if wrong := set(condition) ^ FIELDS[kind]:
        raise PipelineExpressionError(
            f"condition {kind}: missing or unknown field {', '.join(sorted(wrong))}"
        )
    for nested in _nested(condition):
        check(nested)


def evaluate(condition: Mapping[str, Any]) -> bool:
    """Evaluate a condition whose values are resolved.

    Raises:
        PipelineExpressionError: the values cannot be compared.
    """
    kind = condition["Type"]
    if kind == "Not":
        return not evaluate(condition["Condition"])
    if kind == "Or":
        return any(evaluate(nested) for nested in condition["Conditions"])
    if kind == "In":
        return any(_equal(condition["QueryValue"], value) for value in condition["Values"])
    left, right = condition["LeftValue"], condition["RightValue"]
    if kind == "Equals":
        return _equal(left, right)
    if _is_number(left) != _is_number(right) or not isinstance(left, str | int | float):
        raise PipelineExpressionError(f"condition {kind}: {left!r} and {right!r} cannot be compared")
    return COMPARISONS[kind](left, right)


def _nested(condition: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if condition["Type"] == "Not":
        yield condition["Condition"]
    elif condition["Type"] == "Or":
        yield from condition["Conditions"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(left: Any, right: Any) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and left == right
