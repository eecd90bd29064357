"""IAM policy evaluation (IAM user guide, "Policy evaluation logic")."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from emulator.authorization import conditions
from emulator.authorization.conditions import Context

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
        principals: ARNs of the calling role and its session, for resource and trust policies.
    """

    action: str
    resource: str = "*"
    service: str = ""
    context: Context = field(default_factory=dict)
    principals: tuple[str, ...] = ()


def parse(document: str | Document) -> Document:
    """Policy document from its JSON."""
    return _parsed(document) if isinstance(document, str) else document


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> Document:
    """Documents are keyed by their text: a changed policy is another key."""
    return dict(json.loads(text))


def statements(document: str | Document) -> list[Document]:
    """Statements of a document."""
    return as_list(parse(document).get("Statement", []))


def decide(documents: Iterable[str | Document], call: Call) -> Decision:
    """Decision of several documents: an explicit deny overrides any allow."""
    decision: Decision = "implicitDeny"
    for document in documents:
        for statement in statements(document):
            is_deny = statement.get("Effect") == "Deny"
            if not _applies(statement, call, is_deny=is_deny):
                continue
            if is_deny:
                return "explicitDeny"
            decision = "allowed"
    return decision


def allows(documents: Iterable[str | Document], call: Call) -> bool:
    """Whether the documents allow the call."""
    return decide(documents, call) == "allowed"


def _applies(statement: Document, call: Call, *, is_deny: bool) -> bool:
    return (
        _action_applies(statement, call.action)
        and _resource_applies(statement, call.resource)
        and _principal_applies(statement, call, is_deny=is_deny)
        and conditions.hold(statement.get("Condition") or {}, call.context, if_unsupported=is_deny)
    )


def _action_applies(statement: Document, action: str) -> bool:
    if "NotAction" in statement:
        return not any(like(action.lower(), p.lower()) for p in as_list(statement["NotAction"]))
    return any(like(action.lower(), p.lower()) for p in as_list(statement.get("Action", [])))


def _resource_applies(statement: Document, resource: str) -> bool:
    if "NotResource" in statement:
        return not any(like(resource, p) for p in as_list(statement["NotResource"]))
    # Trust policies have no Resource.
    return any(like(resource, p) for p in as_list(statement.get("Resource", "*")))


def _principal_applies(statement: Document, call: Call, *, is_deny: bool) -> bool:
    if "NotPrincipal" in statement:
        return not _is_principal(statement["NotPrincipal"], call, is_deny=True)
    if "Principal" not in statement:  # identity-based policy
        return True
    return _is_principal(statement["Principal"], call, is_deny=is_deny)


def _is_principal(principal: Any, call: Call, *, is_deny: bool) -> bool:
    """Whether an element names the caller; the account's root stands for its roles in Deny statements only.

    In Allow statements the account delegates the decision to its identity-based policies, see `delegates`.
    """
    if principal == "*":
        return True
    if not isinstance(principal, Mapping):
        return call.service == principal
    named = as_list(principal.get("AWS", []))
    return (
        call.service in as_list(principal.get("Service", []))
        or "*" in named
        or any(arn in named for arn in call.principals)
        or (is_deny and any(_account(arn) in named or _root(arn) in named for arn in call.principals))
    )


def delegates(documents: Iterable[str | Document], call: Call) -> bool:
    """Whether an Allow statement for the caller's account lets its identity-based policies decide.

    KMS keys and trust policies require it (KMS developer guide, "Default key policy").
    """
    roots = tuple(dict.fromkeys(form(arn) for arn in call.principals for form in (_account, _root)))
    as_account = Call(call.action, call.resource, "", call.context, roots)
    return decide(documents, as_account) == "allowed"


def _account(arn: str) -> str:
    return arn.split(":")[4]


def _root(arn: str) -> str:
    partition, account = arn.split(":")[1], arn.split(":")[4]
    return f"arn:{partition}:iam::{account}:root"


def like(value: str, pattern: str) -> bool:
    """Wildcard match with ``*`` and ``?``; brackets are literal."""
    return pattern == value or _wildcards(pattern).fullmatch(value) is not None


@functools.lru_cache(maxsize=4096)
def _wildcards(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(letter) or re.escape(letter) for letter in pattern), re.DOTALL)


def as_list(value: Any) -> list[Any]:
    """A list of one element for a value that is not a list."""
    return list(value) if isinstance(value, (list, tuple)) else [value]
