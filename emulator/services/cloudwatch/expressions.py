"""Metric math of alarms: arithmetic, comparisons and functions on the data points of one period.

CloudWatch user guide, "Using math expressions with CloudWatch metrics":

- Arithmetic and comparisons of two time series: "Missing values in a time series are treated as 0"; without a
  value of either there is no data point. With a number as the other operand there is none either.
- A division by zero has no data point.
- IF: none if the condition is missing; 0 if it is true and its value missing; none if it is false and its
  value missing.
- SUM and AVG of an array take missing values as 0. The guide does not say it of MIN and MAX, whose data point
  is missing here.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Value = float | None  # None: a missing data point

BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
COMPARISONS: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
FUNCTIONS: Mapping[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}
# Of an array of time series. Of one time series they are a number, over more data points than the alarm's.
REDUCTIONS: Mapping[str, Callable[..., float]] = {
    "MAX": lambda *values: max(values),
    "MIN": lambda *values: min(values),
    "SUM": lambda *values: math.fsum(values),
    "AVG": lambda *values: math.fsum(values) / len(values),
}
MISSING_IS_ZERO = ("SUM", "AVG")
FUNCTION_NAMES = {*FUNCTIONS, *REDUCTIONS, "IF", "FILL"}
NODES = (
    *(ast.Name, ast.Load, ast.UnaryOp, ast.USub, ast.UAdd, ast.BinOp, ast.BoolOp, ast.And, ast.Or, ast.List),
    *BINARY,
    *COMPARISONS,
)


class ExpressionError(ValueError):
    """An expression that is invalid, or has a function or operator that the emulator does not have."""


class Expression:
    """A parsed expression.

    Raises:
        ExpressionError: see there.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        python = re.sub(r"&&|\bAND\b", " and ", text)
        python = re.sub(r"\|\||\bOR\b", " or ", python).replace("^", "**").strip()
        try:
            self._tree = ast.parse(python, mode="eval").body
        except SyntaxError as error:
            raise ExpressionError(f"{text!r} is no metric math expression: {error.msg}") from None
        # What is not supported is an error when the alarm is made, not when a branch is reached.
        for node in ast.walk(self._tree):
            if not _is_supported(node):
                raise ExpressionError(f"{text!r}: the emulator does not support {ast.unparse(node)!r}")
        nodes = list(ast.walk(self._tree))
        functions = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
        self.names = frozenset(
            node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in functions
        )

    def value(self, metrics: Mapping[str, Value]) -> Value:
        """Value for the data points of the metrics; a missing metric is None.

        Raises:
            ExpressionError: a name is neither a metric nor another expression.
        """
        if unknown := sorted(self.names - metrics.keys()):
            raise ExpressionError(f"{self.text!r}: no metric {unknown[0]!r}")
        return _evaluate(self._tree, metrics)


def _is_supported(node: ast.AST) -> bool:
    """Whether a node is part of metric math."""
    match node:
        case ast.Constant(value=value):
            return type(value) in (int, float)
        case ast.Call(func=ast.Name(id=name), args=[ast.List(elts=elements)], keywords=[]):
            return name in REDUCTIONS and bool(elements) and all(map(_is_time_series, elements))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return {"IF": 3, "FILL": 2}.get(name, 1 if name in FUNCTIONS else 0) == len(args) > 0
        case ast.Compare(ops=ops):
            return len(ops) == 1
    return isinstance(node, NODES)


def _is_time_series(node: ast.expr) -> bool:
    """Whether an expression has a metric; CloudWatch refuses arrays with numbers."""
    return any(isinstance(each, ast.Name) and each.id not in FUNCTION_NAMES for each in ast.walk(node))


def _evaluate(node: ast.expr, metrics: Mapping[str, Value]) -> Value:
    value: Value
    match node:
        case ast.Constant(value=int() | float() as number):
            value = float(number)
        case ast.Name(id=name):
            value = metrics[name]
        case ast.Call(func=ast.Name(id=name), args=args):
            value = _call(name, args, metrics)
        case ast.UnaryOp(op=op, operand=operand):
            sign = -1.0 if isinstance(op, ast.USub) else 1.0
            value = _apply(lambda each: sign * each, _evaluate(operand, metrics))
        case ast.BinOp(left=left, op=op, right=right):
            value = _combine(BINARY[type(op)], (left, right), metrics)
        case ast.Compare(left=left, ops=[comparison], comparators=[right]):
            value = _combine(COMPARISONS[type(comparison)], (left, right), metrics)
        case ast.BoolOp(op=ast.And() | ast.Or() as both, values=values):
            join = all if isinstance(both, ast.And) else any
            value = _combine(lambda *each: join(each), values, metrics)
        case _:
            raise AssertionError(ast.dump(node))
    return value


def _call(name: str, args: list[ast.expr], metrics: Mapping[str, Value]) -> Value:
    if name == "IF":
        condition = _evaluate(args[0], metrics)
        if not condition:
            return None if condition is None else _evaluate(args[2], metrics)
        value = _evaluate(args[1], metrics)
        return 0.0 if value is None and _is_time_series(args[0]) else value
    if name == "FILL":
        value = _evaluate(args[0], metrics)
        return _evaluate(args[1], metrics) if value is None else value
    if isinstance(args[0], ast.List):
        if name in MISSING_IS_ZERO:
            return _combine(REDUCTIONS[name], args[0].elts, metrics)
        return _apply(REDUCTIONS[name], *(_evaluate(each, metrics) for each in args[0].elts))
    return _apply(FUNCTIONS[name], _evaluate(args[0], metrics))


def _combine(
    function: Callable[..., Any], operands: Sequence[ast.expr], metrics: Mapping[str, Value]
) -> Value:
    """Value of several operands: a missing one is 0, unless all time series among them are missing."""
    values = [_evaluate(each, metrics) for each in operands]
    of_series = [value for each, value in zip(operands, values, strict=True) if _is_time_series(each)]
    if of_series and all(value is None for value in of_series):
        return None
    return _apply(function, *(0.0 if value is None else value for value in values))


def _apply(function: Callable[..., Any], *values: Value) -> Value:
    if any(value is None for value in values):
        return None
    try:
        return float(function(*values))
    except (ZeroDivisionError, OverflowError):
        return None
