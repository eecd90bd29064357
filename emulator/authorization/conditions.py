"""Condition blocks of policy statements (IAM user guide, "IAM JSON policy elements: Condition operators")."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Matches = Callable[[str, str], bool]
_VARIABLE = re.compile(r"\$\{([^}]+)\}")


Context = Mapping[str, str | Sequence[str]]
"""Condition keys of a call."""


def hold(block: Mapping[str, Any], context: Context, *, if_unsupported: bool) -> bool:
    """Whether all conditions of a block hold.

    Args:
        context: condition keys of the call, with one or several values.
        if_unsupported: result for an operator that is not supported: True for Deny, False for Allow.
    """
    if not block:
        return True
    values = {key.lower(): _as_list(value) for key, value in context.items()}
    return all(
        _holds(operator, values.get(key.lower()), [str(w) for w in _as_list(wanted)], values, if_unsupported)
        for operator, keys in block.items()
        for key, wanted in keys.items()
    )


def _holds(
    operator: str,
    actual: list[str] | None,
    wanted: list[str],
    values: Mapping[str, list[str]],
    if_unsupported: bool,
) -> bool:
    quantifier, _, plain = operator.rpartition(":")
    if_exists = plain.endswith("IfExists")
    plain = plain.removesuffix("IfExists")
    if plain == "Null":
        return (actual is None) == (wanted[0].lower() == "true")
    negated = "Not" in plain
    matches = OPERATORS.get(plain.replace("Not", ""))
    if matches is None:
        return if_unsupported
    if actual is None:
        # A missing key matches negated operators, and ForAllValues.
        return if_exists or negated or quantifier == "ForAllValues"
    patterns = [pattern for pattern in (_resolved(text, values) for text in wanted) if pattern is not None]
    results = [any(matches(value, pattern) for pattern in patterns) != negated for value in actual]
    return all(results) if quantifier == "ForAllValues" or (negated and not quantifier) else any(results)


def _resolved(text: str, values: Mapping[str, list[str]]) -> str | None:
    """The text with policy variables replaced; None if a variable has no value, which matches nothing."""
    for name in _VARIABLE.findall(text):
        found = values.get(name.lower())
        if name not in ("*", "?", "$") and not found:
            return None
    literals = {"*": "*", "?": "?", "$": "$"}
    return _VARIABLE.sub(lambda m: literals.get(m[1]) or values[m[1].lower()][0], text)


def _like(value: str, pattern: str) -> bool:
    parts = {"*": ".*", "?": "."}
    regex = "".join(parts.get(letter) or re.escape(letter) for letter in pattern)
    return re.fullmatch(regex, value, re.DOTALL) is not None


def _arn_like(value: str, pattern: str) -> bool:
    """Each of the six parts is compared on its own."""
    parts, patterns = value.split(":", 5), pattern.split(":", 5)
    if len(parts) != 6 or len(patterns) != 6:
        return _like(value, pattern)
    return all(_like(part, each) for part, each in zip(parts, patterns, strict=True))


def _in_network(value: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _numeric(compare: Callable[[float, float], bool]) -> Matches:
    def matches(value: str, wanted: str) -> bool:
        try:
            return compare(float(value), float(wanted))
        except ValueError:
            return False

    return matches


def _date(compare: Callable[[float, float], bool]) -> Matches:
    def seconds(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

    def matches(value: str, wanted: str) -> bool:
        try:
            return compare(seconds(value), seconds(wanted))
        except ValueError:
            return False

    return matches


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "Equals": lambda a, b: a == b,
    "LessThan": lambda a, b: a < b,
    "LessThanEquals": lambda a, b: a <= b,
    "GreaterThan": lambda a, b: a > b,
    "GreaterThanEquals": lambda a, b: a >= b,
}
# Without "Not": StringNotEquals is the negation of StringEquals.
OPERATORS: dict[str, Matches] = {
    "StringEquals": lambda a, w: a == w,
    "StringEqualsIgnoreCase": lambda a, w: a.lower() == w.lower(),
    "StringLike": _like,
    "ArnEquals": _arn_like,  # both ARN operators accept wildcards
    "ArnLike": _arn_like,
    "Bool": lambda a, w: a.lower() == w.lower(),
    "IpAddress": _in_network,
    **{f"Numeric{name}": _numeric(compare) for name, compare in _COMPARISONS.items()},
    **{f"Date{name}": _date(compare) for name, compare in _COMPARISONS.items()},
}


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
