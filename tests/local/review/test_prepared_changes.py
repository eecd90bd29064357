"""The ten prepared changes have the right verdict first."""

from __future__ import annotations

import dataclasses
import json

import pytest

from local.review.markdown import markdown
from local.review.report import Review, review, verdict
from local.review.snapshot import Snapshot
from local.review.terminal import to_json
from tests.local.review.prepared import CHANGES, changed
from tests.local.snapshots import snapshot


def reviewed(name: str) -> Review:
    before = snapshot("prod")
    after = changed(before, CHANGES[name])
    if CHANGES[name].get("base") == "none":
        tags = {**after.default_tags, "Stage": "staging"}
        after = dataclasses.replace(after, stage="staging", default_tags=tags)
        before = Snapshot(exists=False)
    return review(CHANGES[name].get("stage", "prod"), "0" * 40, before, after)


@pytest.mark.parametrize("name", CHANGES)
def test_worst_verdict_is_first(name: str) -> None:
    found = reviewed(name)

    assert verdict(found)[0].startswith(CHANGES[name]["first"])
    assert sorted(found.risks()) == CHANGES[name]["risks"]
    before, after = found.usd()
    if before:
        assert after - before == pytest.approx(CHANGES[name].get("usd", 0), abs=0.005)


@pytest.mark.parametrize("name", CHANGES)
def test_note_and_json_have_the_verdict(name: str) -> None:
    found = reviewed(name)
    first = CHANGES[name]["first"]

    assert json.loads(json.dumps(to_json(found)))["verdict"][0].startswith(first)
    assert f"1. {first.split(' ')[0]}" in markdown(found)


def test_the_ten_changes_of_the_issue_are_there() -> None:
    assert len(CHANGES) == 10


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_no_difference_is_found_where_there_is_none(stage: str) -> None:
    found = review(stage, "0" * 40, snapshot(stage), Snapshot.of_json(snapshot(stage).to_json()))

    assert verdict(found) == ["no difference: pulumi up changes nothing"]
    assert (found.changes, found.grants, found.config, found.risks()) == ([], [], [], set())
