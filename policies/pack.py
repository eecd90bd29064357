"""All rules, and the findings of a stage that no suppression explains."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from policies import access, data, encryption, operations
from policies.model import Finding, Resource, Stage

RULES = (*encryption.RULES, *access.RULES, *data.RULES, *operations.RULES)
SUPPRESSIONS = Path(__file__).with_name("suppressions.yaml")


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """A finding that is wanted.

    Attributes:
        resource: label of the resource; may have `*`.
        reason: why the rule does not hold here.
    """

    rule: str
    resource: str
    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError(f"{SUPPRESSIONS.name}: {self.rule} on {self.resource}: write the reason")
        if self.rule not in {rule.name for rule in RULES}:
            raise ValueError(f"{SUPPRESSIONS.name}: {self.rule}: no such rule")

    def explains(self, finding: Finding) -> bool:
        """Whether a finding is this one."""
        return finding.rule == self.rule and fnmatch.fnmatchcase(finding.resource, self.resource)


def suppressions(path: Path = SUPPRESSIONS) -> list[Suppression]:
    """Suppressions of a file.

    Raises:
        ValueError: a suppression has no reason or names no rule.
    """
    return [Suppression(**entry) for entry in yaml.safe_load(path.read_text(encoding="utf-8"))]


def evaluate(
    resources: Sequence[Resource], stage: Stage, known: Sequence[Suppression]
) -> tuple[list[Finding], list[tuple[Finding, Suppression]]]:
    """Findings without a suppression, and suppressed findings with theirs."""
    open_, suppressed = [], []
    for rule in RULES:
        for finding in rule.findings(resources, stage):
            reason = next((each for each in known if each.explains(finding)), None)
            if reason is None:
                open_.append(finding)
            else:
                suppressed.append((finding, reason))
    return open_, suppressed
