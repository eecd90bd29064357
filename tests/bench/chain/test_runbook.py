"""The runbook's headings and tables are patterns for notifications, alarms and reasons of failures."""

from __future__ import annotations

import pytest

from bench.chain.explanations import RUNBOOK
from bench.chain.runbook import BUILD_SECTION, EXECUTION_SECTION


@pytest.mark.parametrize(
    ("text", "is_known"),
    [
        ("Build ncf:1 ended FAILED; its log has the step and the reason.", True),
        ("Pipeline execution arn:aws:x ended Failed.", True),
        ("NCF dev: candidate of run 20300102T000000Z was not better", True),
        ("NCF prod: rollout of run 20300102T000000Z rolled back The endpoint", True),
        ("The preparation failed (cluster j-1): why", True),
        ('ALARM: "ncf-dev-endpoint-errors-1a2b3c" in Asia Pacific', True),
        ('ALARM: "ncf-dev-something-1a2b3c" in Asia Pacific', False),
        ("Something ended", False),
    ],
)
def test_notification_is_known_by_a_heading(text: str, is_known: bool) -> None:
    assert RUNBOOK.knows_notification(text) == is_known


@pytest.mark.parametrize("queue", ["run-prepared", "buildspec-rendered", "endpoint-changed"])
def test_alarm_of_a_dead_letter_queue_is_known(queue: str) -> None:
    assert RUNBOOK.knows_alarm(f"{queue}-undelivered-alarm")
    assert not RUNBOOK.knows_alarm(f"{queue}-other")


@pytest.mark.parametrize(
    ("section", "text", "is_known"),
    [
        (BUILD_SECTION, "NCFTraining failed: AlgorithmError: x, exit code: 1", True),
        (BUILD_SECTION, "Command did not exit successfully python -m ml.pipeline exit status 137", True),
        (BUILD_SECTION, "anything else", False),
        (EXECUTION_SECTION, "AlgorithmError: training: items.parquet: sha256 is x, exit code: 1", True),
        (EXECUTION_SECTION, "AlgorithmError: killed, exit code: 137", True),
        (EXECUTION_SECTION, "InternalServerError: the emulator: x", False),
    ],
)
def test_reason_is_known_by_the_table_of_its_section(section: str, text: str, is_known: bool) -> None:
    assert RUNBOOK.knows_reason(section, text) == is_known
