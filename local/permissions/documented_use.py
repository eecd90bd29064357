"""One documented use of grants, and the names that its rows share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from emulator.authorization.ledger import Use

STAGE = "<stage>"
HERE = "ap-northeast-2:<account>"
KEY = f"arn:aws:kms:{HERE}:key/<key>"
FOR_AWS_RESOURCE = {"kms:GrantIsForAWSResource": "true"}  # context of a grant for a service


@dataclass(frozen=True, kw_only=True)
class Documented:
    """Actions of roles on resources, with logical names (`local.permissions.names`).

    Attributes:
        roles: logical names; the row holds in every stage that has the role.
        resources: ARNs; `STAGE` stands for the stage.
        context: condition keys of the calls; `STAGE` stands for the stage.
        reason: what AWS does, and the source.
    """

    roles: Sequence[str]
    actions: Sequence[str]
    resources: Sequence[str]
    reason: str
    context: Mapping[str, str] = field(default_factory=dict)

    def uses(self, stage: str) -> Iterator[Use]:
        """One use per role, action and resource."""
        context = {key: value.replace(STAGE, stage) for key, value in self.context.items()}
        for role in self.roles:
            for action in self.actions:
                for resource in self.resources:
                    yield Use.of(role, action, resource.replace(STAGE, stage), context)
