"""One documented use of grants, and the names that its rows share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from emulator.authorization.ledger import Use

HERE = "ap-northeast-2:<account>"
KEY = f"arn:aws:kms:{HERE}:key/<key>"
FOR_AWS_RESOURCE = {"kms:GrantIsForAWSResource": "true"}  # context of a grant for a service


@dataclass(frozen=True, kw_only=True)
class Documented:
    """Actions of a role on resources, with logical names (`local.permissions.grants`).

    Attributes:
        roles: logical names.
        stages: stages that have the grant.
        context: condition keys of the calls.
        reason: what AWS does, and the source.
    """

    roles: Sequence[str]
    actions: Sequence[str]
    resources: Sequence[str]
    reason: str
    stages: Sequence[str] = ("dev", "prod")
    context: Mapping[str, str] = field(default_factory=dict)

    def uses(self) -> Iterator[Use]:
        """One use per role, action and resource."""
        for role in self.roles:
            for action in self.actions:
                for resource in self.resources:
                    yield Use.of(role, action, resource, self.context)
