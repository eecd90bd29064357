"""Grants of roles, and the uses that need them.

A *grant* is one action on one resource, with a condition, in the policy of one role. A grant is *needed* if a
use is not allowed without it. Roles and resources have logical names in angle brackets, such as ``<data>``:
grants and uses of different deployments are comparable.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emulator.authorization import policies
from emulator.authorization.ledger import Use
from emulator.authorization.policies import Call


@dataclass(frozen=True, order=True)
class Grant:
    """One action on one resource, with a condition (JSON), in the policy of a role."""

    role: str
    action: str
    resource: str
    condition: str = "{}"

    def document(self) -> dict[str, Any]:
        """Policy document of this grant alone."""
        statement: dict[str, Any] = {"Effect": "Allow", "Action": self.action, "Resource": self.resource}
        if condition := json.loads(self.condition):
            statement["Condition"] = condition
        return {"Statement": [statement]}

    def __str__(self) -> str:
        condition = "" if self.condition == "{}" else f" if {self.condition}"
        return f"{self.role}: {self.action} on {self.resource}{condition}"


def grants_of(role: str, document: str | Mapping[str, Any]) -> Iterable[Grant]:
    """Grants of a role's policy document.

    Raises:
        ValueError: the document has a Deny statement, NotAction or NotResource.
    """
    for statement in policies.statements(document):
        if statement["Effect"] != "Allow" or {"NotAction", "NotResource"} & set(statement):
            raise ValueError(f"{role}: only Allow statements with Action and Resource are supported")
        condition = json.dumps(statement.get("Condition", {}), sort_keys=True)
        for action in policies.as_list(statement["Action"]):
            for resource in policies.as_list(statement["Resource"]):
                yield Grant(role, action, resource, condition)


def permits(grants: Iterable[Grant], use: Use) -> bool:
    """Whether grants of the use's role allow the use."""
    call = Call(use.action, use.resource, context=dict(use.context))
    candidates = (g for g in grants if g.role == use.role_arn and policies.like(use.action, g.action))
    return policies.allows([grant.document() for grant in candidates], call)


def denied(grants: Sequence[Grant], uses: Iterable[Use]) -> list[Use]:
    """Uses that the grants do not allow."""
    return [use for use in uses if not permits(grants, use)]


def unneeded(grants: Iterable[Grant], uses: Sequence[Use]) -> list[Grant]:
    """Grants without which every use is still allowed.

    A grant that another one repeats counts as needed if both together are.
    """
    distinct = sorted(set(grants))
    found = []
    for grant in distinct:
        others = [each for each in distinct if each != grant]
        own = [use for use in uses if use.role_arn == grant.role and permits([grant], use)]
        if not denied(others, own):
            found.append(grant)
    return found
