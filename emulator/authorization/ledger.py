"""Record of what roles were allowed and refused, for reports of unused grants and of refusals."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emulator.authorization.conditions import Context

# Condition keys whose values differ between requests and that no report needs.
VOLATILE = ("aws:principalarn", "aws:userid", "aws:currenttime", "aws:epochtime", "s3:versionid")


@dataclass(frozen=True)
class Use:
    """One action of a role on one resource, with the condition keys of the call."""

    role_arn: str
    action: str
    resource: str
    context: tuple[tuple[str, str | tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, role_arn: str, action: str, resource: str, context: Context) -> Use:
        """Use of a call, without volatile condition keys."""
        kept = sorted(
            (key, value if isinstance(value, str) else tuple(value))
            for key, value in context.items()
            if key.lower() not in VOLATILE
        )
        return cls(role_arn, action, resource, tuple(kept))

    def as_json(self) -> dict[str, Any]:
        """JSON values; `from_json` is the inverse."""
        context = {key: value if isinstance(value, str) else list(value) for key, value in self.context}
        return {
            "role": self.role_arn,
            "action": self.action,
            "resource": self.resource,
            **({"context": context} if context else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Use:
        """The use that `as_json` wrote."""
        return cls.of(value["role"], value["action"], value["resource"], value.get("context", {}))


@dataclass(frozen=True)
class Refusal:
    """A refused call; the message is the service's AccessDenied message."""

    use: Use
    message: str


class Ledger:
    """Record of the calls that identity-based policies allowed, and of refusals; each once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uses: dict[Use, None] = {}
        self._refusals: dict[Use, Refusal] = {}

    def allow(self, use: Use) -> None:
        """Record an allowed use."""
        with self._lock:
            self._uses[use] = None

    def refuse(self, use: Use, message: str) -> None:
        """Record a refusal."""
        with self._lock:
            self._refusals.setdefault(use, Refusal(use, message))

    def as_json(self) -> dict[str, Any]:
        """Uses and refusals as JSON values."""
        return {
            "uses": [use.as_json() for use in self.uses],
            "refusals": [
                {"use": refusal.use.as_json(), "message": refusal.message} for refusal in self.refusals
            ],
        }

    @property
    def uses(self) -> list[Use]:
        """Allowed uses in the order of their first occurrence."""
        with self._lock:
            return list(self._uses)

    @property
    def refusals(self) -> list[Refusal]:
        """Refusals in the order of their first occurrence."""
        with self._lock:
            return list(self._refusals.values())
