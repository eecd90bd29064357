"""Recorded answers: only a stage that records them has the key with which they name users."""

from __future__ import annotations

import json

from ml import contract
from tests.pulumi_engine import Recording
from tests.stacks.program import recorded, run_program, section, stage_file

POLICY = "aws:iam/rolePolicy:RolePolicy"


def users_of_the_key(done: Recording) -> dict[str, set[str]]:
    """Roles with permissions on the key's object, and their actions."""
    found: dict[str, set[str]] = {}
    for policy in done.of(POLICY):
        for each in json.loads(policy.inputs["policy"])["Statement"]:
            if any(arn.endswith(f"/{contract.RECORDING_KEY}") for arn in each["Resource"]):
                found.setdefault(policy.name, set()).update(each["Action"])
    return found


def test_only_the_api_of_a_stage_that_records_reads_and_creates_the_key() -> None:
    assert section("prod", "api")["record_answers"] is False
    assert users_of_the_key(recorded("prod")) == {}
    config = stage_file("prod")
    recording = run_program("prod", {**config, "ncf:api": {**config["ncf:api"], "record_answers": True}})
    assert users_of_the_key(recording) == {"recommend-role-policy": {"s3:GetObject", "s3:PutObject"}}
