"""Each rule finds what breaks it and nothing else; both stages are clean."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.review.policy import pack_resources, pack_stage
from policies.model import Stage
from policies.pack import RULES, SUPPRESSIONS, evaluate, suppressions
from tests.local.snapshots import snapshot
from tests.policies.cases import CASES, allow, policy, resource
from tests.repository import STAGES

PROTECTED = Stage(name="prod", protects_data=True, tags={"Owner": "a", "Service": "b", "Stage": "prod"})
BY_NAME = {rule.name: rule for rule in RULES}


def test_every_rule_has_a_case_and_a_name_of_its_own() -> None:
    assert list(CASES) == [rule.name for rule in RULES]


@pytest.mark.parametrize("rule", CASES)
def test_rule_finds_the_resource_that_breaks_it(rule: str) -> None:
    found = list(BY_NAME[rule].findings(CASES[rule][0], PROTECTED))

    assert {finding.rule for finding in found} == {rule}
    assert found[0].message


@pytest.mark.parametrize("rule", CASES)
def test_rule_finds_nothing_in_what_satisfies_it(rule: str) -> None:
    assert list(BY_NAME[rule].findings(CASES[rule][1], PROTECTED)) == []


def test_a_condition_that_restricts_no_principal_leaves_a_policy_public() -> None:
    public = allow("s3:GetObject", principal="*", Bool={"aws:SecureTransport": "true"})
    found = list(
        BY_NAME["policy-not-public"].findings([resource("BucketPolicy", policy=policy(public))], PROTECTED)
    )

    assert [finding.rule for finding in found] == ["policy-not-public"]


def test_a_stage_without_tags_or_budget_is_a_finding_on_the_stage() -> None:
    stage = Stage(name="dev", protects_data=False, tags={"Owner": "a"})
    missing = [
        finding for rule in ("default-tags", "budget") for finding in BY_NAME[rule].findings([], stage)
    ]

    assert [(finding.rule, finding.resource) for finding in missing] == [
        ("default-tags", "dev"),
        ("budget", "dev"),
    ]


def test_sizes_of_production_are_too_large_for_a_stage_without_protected_data() -> None:
    stage = Stage(name="dev", protects_data=False, tags=PROTECTED.tags)
    configuration = CASES["endpoint-size"][1][0]
    large = {**configuration.inputs, "productionVariants": [{"instanceType": "ml.m5.4xlarge"}]}
    resources = [type(configuration)(**{**vars(configuration), "inputs": large})]

    assert list(BY_NAME["endpoint-size"].findings(resources, PROTECTED)) == []
    assert len(list(BY_NAME["endpoint-size"].findings(resources, stage))) == 1


@pytest.mark.parametrize("stage", STAGES)
def test_stage_is_clean(stage: str) -> None:
    shown = snapshot(stage)
    found, _ = evaluate(pack_resources(shown.resources), pack_stage(shown), suppressions())

    assert found == []


def test_every_suppression_is_needed() -> None:
    used = set()
    for stage in STAGES:
        shown = snapshot(stage)
        _, suppressed = evaluate(pack_resources(shown.resources), pack_stage(shown), suppressions())
        used |= {suppression for _, suppression in suppressed}
    assert set(suppressions()) - used == set()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{rule: key-rotates, resource: Key key, reason: ' '}", "write the reason"),
        ("{rule: no-such-rule, resource: Key key, reason: because}", "no-such-rule: no such rule"),
    ],
)
def test_suppression_without_reason_or_rule_is_refused(tmp_path: Path, entry: str, message: str) -> None:
    path = tmp_path / SUPPRESSIONS.name
    path.write_text(f"- {entry}\n")

    with pytest.raises(ValueError, match=message):
        suppressions(path)
