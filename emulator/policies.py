"""Decides policy documents: who may do what on which resource (IAM user guide, "Policy evaluation logic").

Used where the service itself would refuse: a rule's call on a function or queue, a role that a service
assumes, SimulatePrincipalPolicy. Requests to the emulator are not authorised with it.
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
    """One call to decide.

    Attributes:
        action: ``lambda:InvokeFunction``.
        resource: its ARN, or ``*``.
        service: the calling service (``events.amazonaws.com``), for resource and trust policies.
        context: condition keys, e.g. ``aws:SourceArn``; compared without regard to case.
    """

    action: str
    resource: str = "*"
    service: str = ""
    context: Mapping[str, str] = field(default_factory=dict)


def parse(document: str | Document) -> Document:
    """A policy document from its JSON."""
    return json.loads(document) if isinstance(document, str) else document


def decide(documents: Iterable[str | Document], call: Call) -> Decision:
    """An explicit deny wins, then any allow."""
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
    # A trust policy names no resource.
    return any(_like(resource, p) for p in _as_list(statement.get("Resource", "*")))


def _principal_applies(statement: Document, service: str) -> bool:
    if "Principal" not in statement:  # an identity policy
        return True
    principal = statement["Principal"]
    if principal == "*":
        return True
    services = _as_list(principal.get("Service", [])) if isinstance(principal, Mapping) else [principal]
    return service in services or (isinstance(principal, Mapping) and principal.get("AWS") == "*")


def _condition_holds(operator: str, key: str, wanted: list[str], context: Mapping[str, str]) -> bool:
    """One condition; an operator that is not known here does not hold."""
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
        "ArnEquals": "Like",  # both ARN operators take wildcards
        "ArnLike": "Like",
        "Bool": "Bool",
    }.get(plain, plain)


def _like(value: str, pattern: str) -> bool:
    """``*`` is any run of characters and ``?`` any one; brackets mean themselves."""
    return re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]")), value) is not None


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
