"""IAM policy evaluation (IAM user guide, "Policy evaluation logic").

Used when a service acts for the user: a rule that calls a function or queue, a service that assumes a role.
Requests to the emulator are not authorised.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Decision = Literal["allowed", "explicitDeny", "implicitDeny"]
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One call to authorise.

    Attributes:
        action: ``lambda:InvokeFunction``.
        resource: ARN, or ``*``.
        service: the calling service (``events.amazonaws.com``), for resource and trust policies.
        context: condition keys, e.g. ``aws:SourceArn``; compared without regard to case.
    """

    action: str
    resource: str = "*"
    service: str = ""
    context: Mapping[str, str] = field(default_factory=dict)


def parse(document: str | Document) -> Document:
    """Policy document from its JSON."""
    return json.loads(document) if isinstance(document, str) else document


def decide(documents: Iterable[str | Document], call: Call) -> Decision:
    """Decision of several documents: an explicit deny overrides any allow."""
    decision: Decision = "implicitDeny"
    for document in documents:
        for statement in _as_list(parse(document).get("Statement", [])):
            if not _applies(statement, call):
                continue
            if statement.get("Effect") == "Deny":
                return "explicitDeny"
            decision = "allowed"
    return decision


def allows(documents: Iterable[str | Document], call: Call) -> bool:
    """Whether the documents allow the call."""
    return decide(documents, call) == "allowed"


def _applies(statement: Document, call: Call) -> bool:
    return (
        _action_applies(statement, call.action)
        and _resource_applies(statement, call.resource)
        and _principal_applies(statement, call.service)
        and all(
            _condition_holds(operator, key, _as_list(wanted), call.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _action_applies(statement: Document, action: str) -> bool:
    if "NotAction" in statement:
        return not any(_like(action.lower(), p.lower()) for p in _as_list(statement["NotAction"]))
    return any(_like(action.lower(), p.lower()) for p in _as_list(statement.get("Action", [])))


def _resource_applies(statement: Document, resource: str) -> bool:
    if "NotResource" in statement:
        return not any(_like(resource, p) for p in _as_list(statement["NotResource"]))
    # Trust policies have no Resource.
    return any(_like(resource, p) for p in _as_list(statement.get("Resource", "*")))


def _principal_applies(statement: Document, service: str) -> bool:
    if "Principal" not in statement:  # identity-based policy
        return True
    principal = statement["Principal"]
    if principal == "*":
        return True
    services = _as_list(principal.get("Service", [])) if isinstance(principal, Mapping) else [principal]
    return service in services or (isinstance(principal, Mapping) and principal.get("AWS") == "*")


def _condition_holds(operator: str, key: str, wanted: list[str], context: Mapping[str, str]) -> bool:
    """Whether one condition matches; unsupported operators do not match a key that is present."""
    if_exists = operator.endswith("IfExists")
    operator = operator.removesuffix("IfExists")
    actual = {name.lower(): value for name, value in context.items()}.get(key.lower())
    if operator == "Null":
        return (actual is None) == (str(wanted[0]).lower() == "true")
    negated = "Not" in operator
    if actual is None:
        return if_exists or negated
    matches = {
        "String": lambda a, w: a == w,
        "StringIgnoreCase": lambda a, w: a.lower() == w.lower(),
        "Like": _like,
        "Bool": lambda a, w: a.lower() == w.lower(),
    }.get(_family(operator))
    if matches is None:
        return False
    return any(matches(actual, str(value)) for value in wanted) != negated


def _family(operator: str) -> str:
    plain = operator.replace("Not", "")
    return {
        "StringEquals": "String",
        "StringEqualsIgnoreCase": "StringIgnoreCase",
        "StringLike": "Like",
        "ArnEquals": "Like",  # both ARN operators accept wildcards
        "ArnLike": "Like",
        "Bool": "Bool",
    }.get(plain, plain)


def _like(value: str, pattern: str) -> bool:
    """Wildcard match with ``*`` and ``?``; brackets are literal."""
    return re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]")), value) is not None


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
