"""A bad model is rolled back: the old one serves, an alarm notifies, and the API answers throughout."""

from __future__ import annotations

import re

import pytest

from components.rollout_alarms import MIN_FOR_P90, PERIOD_S
from tests.e2e.platform import Inbox
from tests.indexed_artifact import DAMAGED
from tests.polling import eventually
from tests.repository import ROOT
from tests.rollouts.models import BAD, NEARLY_GOOD
from tests.rollouts.stage import RolloutStage

ALARMS = {
    "dies on request": "errors",
    "slow": "latency",
    "answers for nobody": "answers",
    "no JSON": "answers",
    "empty lists": "answers",
    "not finite": "answers",
}


@pytest.fixture(scope="module", autouse=True)
def long_steps(stage: RolloutStage, serving: str) -> None:
    """Steps that end by their alarm."""
    del serving
    stage.configure(WAIT_S="20")


@pytest.mark.parametrize("kind", BAD)
def test_bad_model_is_rolled_back(stage: RolloutStage, serving: str, inbox: Inbox, kind: str) -> None:
    before = stage.endpoint()["EndpointConfigName"]
    n_received = len(inbox.alarms())
    stage.close_circuit()
    arn, run_id = stage.register(BAD[kind])
    with stage.clients() as clients:
        stage.review(arn, "Approved")
        if kind == "slow":
            new = (200, "ncf", run_id)
            eventually(lambda: clients.answers[new] >= MIN_FOR_P90, what="the new model answers slowly")
            stage.emulator.host.metrics.advance(PERIOD_S)  # the alarm needs two slow minutes
        stage.wait_for(arn, "RolledBack")
        eventually(lambda: clients.answers[200, "ncf", serving] > 0, what="the old model answers")
    endpoint = stage.endpoint()
    assert (endpoint["EndpointConfigName"], endpoint["EndpointStatus"]) == (before, "InService")
    assert clients.failures == []
    assert {status for status, _, _ in clients.answers} == {200}
    if kind in ALARMS:
        raised = f'ALARM: "ncf-dev-endpoint-rollout-{ALARMS[kind]}'
        assert f"endpoint-rollout-{ALARMS[kind]}" in endpoint["FailureReason"]
        eventually(
            lambda: any(subject.startswith(raised) for subject in inbox.alarms()[n_received:]),
            what="the alarm notifies",
        )
    else:
        assert "did not pass the ping health check" in endpoint["FailureReason"]
    if kind == "damaged index":
        assert any(DAMAGED in line for line in stage.container_log())
    ended = [line for line in stage.log("deploy-model") if line.get("message") == "rollout ended"]
    assert [line["deployment"] for line in ended if line["package"] == arn] == ["RolledBack"]
    # The fleet that never becomes healthy starts no alarm: this is its only message.
    subject = f"NCF dev: rollout of run {run_id} rolled back"
    (notified,) = (each for each in inbox.received() if each.get("Subject") == subject)
    assert f"Reason: {endpoint['FailureReason']}" in notified["Message"]


def test_single_error_among_many_requests_rolls_nothing_back(stage: RolloutStage, serving: str) -> None:
    del serving
    arn, run_id = stage.register(NEARLY_GOOD)
    stage.configure(WAIT_S="2")
    with stage.clients() as clients:
        stage.review(arn, "Approved")
        eventually(lambda: run_id in clients.versions(), stage.patience_s, "the new model answers")
        eventually(lambda: stage.answer("unlucky")["strategy"] == "fallback", what="it fails")
        stage.wait_for(arn, "Deployed")
    assert clients.failures == []
    variant = stage.endpoint()["ProductionVariants"][0]
    assert variant["DesiredInstanceCount"] == 2  # as autoscaling has set it


def test_runbook_has_what_a_rollback_writes() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### .+$", runbook, re.MULTILINE)
    for label in sorted(set(ALARMS.values())):
        assert any(f"`endpoint-rollout-{label}`" in heading for heading in headings), label
    for line in ('"rollout ended"', "RolledBack", "Withdrawn"):
        assert line in runbook, line
