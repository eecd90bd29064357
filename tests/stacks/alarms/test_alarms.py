"""Every alarm of every stage is raised by what it is for, and its action notifies the alarm topic."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

import pytest

from tests.repository import ROOT, STAGES
from tests.stacks.alarms.causes import CAUSES
from tests.stacks.alarms.stage import ALARM, StageUnderTest, deployed_stage
from tests.stacks.program import recorded

# Alarms that another test raises, in a setting that it needs anyway.
RAISED_ELSEWHERE: Mapping[str, str] = dict.fromkeys(
    ("endpoint-rollout-answers", "endpoint-rollout-errors", "endpoint-rollout-latency"),
    "tests/rollouts/test_bad_models.py::test_bad_model_is_rolled_back",
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StageUnderTest]:
    with deployed_stage(tmp_path_factory.mktemp("emulator")) as deployed:
        yield deployed


def test_every_alarm_has_a_test_that_raises_it() -> None:
    alarms = {alarm.name for stage in STAGES for alarm in recorded(stage).of(ALARM)}
    assert sorted([*CAUSES, *RAISED_ELSEWHERE]) == sorted(alarms)
    for reference in RAISED_ELSEWHERE.values():
        file, _, name = reference.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", sorted(CAUSES))
def test_alarm_starts_and_notifies(stage: StageUnderTest, name: str) -> None:
    stage.forget()
    stage.set_ok(name)
    before = len(stage.notifications())
    CAUSES[name](stage)
    assert stage.state(name) == "ALARM"
    subject = f'ALARM: "{stage.alarm(name)}"'
    assert [each for each in stage.notifications()[before:] if each.startswith(subject)]
