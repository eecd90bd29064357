"""Grants of the roles of every stage: each use has its grant, and each grant has a use.

Uses are recorded in the emulator (``uses/<stage>.json``, written by the end-to-end tests and ``make up``) or
documented, with the reason, in `local.permissions.documented`. Removing any one grant makes a test fail.
"""

from __future__ import annotations

import functools
from collections import Counter

import pytest

from emulator.authorization.ledger import Use
from local.permissions.documented import DOCUMENTED, MANAGED_POLICIES, documented_uses
from local.permissions.grants import Grant, denied, grants_of, unneeded
from local.permissions.names import in_stage, of_preview
from local.permissions.report import distinct, read_uses
from tests.repository import ROOT, STAGES
from tests.stacks.program import previewed

USES = ROOT / "tests" / "stacks" / "uses"

pytestmark = pytest.mark.parametrize("stage", STAGES)


@functools.cache
def grants(stage: str) -> list[Grant]:
    """Grants of the inline policies of a stage."""
    return [
        grant
        for resource in previewed(stage)
        if resource.type == "aws:iam/rolePolicy:RolePolicy"
        for grant in grants_of(resource.name.removesuffix("-policy"), of_preview(resource.inputs["policy"]))
    ]


@functools.cache
def roles(stage: str) -> frozenset[str]:
    """Roles of a stage."""
    return frozenset(grant.role for grant in grants(stage))


@functools.cache
def recorded_uses(stage: str) -> list[Use]:
    """Uses that were recorded in any stage: stages differ by their configuration, not by their code."""
    moved = (
        in_stage(use, file.stem, stage) for file in sorted(USES.glob("*.json")) for use in read_uses(file)
    )
    # Without batch recommendations nothing starts their jobs.
    absent = () if "batch-role" in roles(stage) else ("<batch-role>", f"processing-job/ncf-{stage}-batch-")
    return distinct(
        use
        for use in moved
        if use.role_arn in roles(stage) and not any(part in use.resource for part in absent)
    )


@functools.cache
def uses(stage: str) -> list[Use]:
    """Recorded and documented uses."""
    return [*recorded_uses(stage), *(use for use in documented_uses(stage) if use.role_arn in roles(stage))]


def test_every_use_is_granted(stage: str) -> None:
    assert denied(grants(stage), uses(stage)) == []


def test_removing_any_grant_denies_a_use(stage: str) -> None:
    repeated = [str(grant) for grant, n in Counter(grants(stage)).items() if n > 1]
    assert repeated == []  # the other one would stay
    assert [str(grant) for grant in unneeded(grants(stage), uses(stage))] == []


def test_every_documented_row_explains_a_grant(stage: str) -> None:
    recorded = recorded_uses(stage)
    for row in DOCUMENTED:
        others = [use for other in DOCUMENTED if other is not row for use in other.uses(stage)]
        unexplained = unneeded(grants(stage), [*recorded, *others])
        for use in row.uses(stage):
            if use.role_arn not in roles(stage):
                continue
            assert [g for g in unexplained if (g.role, g.action) == (use.role_arn, use.action)], (
                row.reason,
                use,
            )


def test_role_of_every_documented_row_is_in_a_stage(stage: str) -> None:
    del stage  # of all stages together
    known = frozenset().union(*map(roles, STAGES))
    assert [row.roles for row in DOCUMENTED if not known.issuperset(row.roles)] == []


def test_managed_policies_are_documented(stage: str) -> None:
    attached = {
        (resource.name.removesuffix(f"-{arn.rpartition('/')[2]}"), arn)
        for resource in previewed(stage)
        if resource.type == "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
        for arn in [resource.inputs["policyArn"]]
    }
    assert attached == set(MANAGED_POLICIES)
