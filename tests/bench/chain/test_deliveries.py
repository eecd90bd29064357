"""Deliveries keep a record of what became of each of them, with faults and without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bench.chain.deliveries import FaultyDeliveries, Refused
from emulator.delivery import Backoff, DeliveryError, RetryPolicy
from emulator.services.events.delivery import RuleDelivery
from emulator.services.events.targets import TargetEvent
from tests.polling import eventually

POLICY = RetryPolicy(max_retries=1, max_age_s=60, backoff=Backoff(first_s=0.01, longest_s=0.01))
TARGET = {
    "Arn": "arn:aws:sqs:ap-northeast-2:123456789012:q",
    "DeadLetterConfig": {"Arn": "arn:aws:sqs:::dlq"},
}


class Targets:
    """Targets that accept events, or refuse all of them."""

    def __init__(self, *, refuse: bool = False) -> None:
        self.sent: list[str] = []
        self.dead: list[str] = []
        self._refuse = refuse

    def send(self, event: TargetEvent, payload: str) -> None:
        if self._refuse:
            raise DeliveryError("Refused", "no", retryable=True)
        self.sent.append(payload)

    def send_to_queue(self, event: TargetEvent, arn: str, body: str, **_: Any) -> None:
        self.dead.append(body)


def outcomes(targets: Targets, times: Sequence[float] | Refused) -> list[str]:
    deliveries = FaultyDeliveries(2)
    deliveries.fault = lambda _: times
    event = TargetEvent({"id": "1"}, "rule", "arn:rule", TARGET, "ap-northeast-2")
    deliveries.submit(RuleDelivery(event, targets, POLICY))  # type: ignore[arg-type]
    eventually(lambda: not deliveries.pending, 10, "every delivery has an outcome")
    deliveries.close()
    return [record.outcome for record in deliveries.records]


@pytest.mark.parametrize(
    ("times", "expected", "n_sent"),
    [((0.0,), ["delivered"], 1), ((0.0, 0.05), ["delivered"] * 2, 2), ((), ["dropped"], 0)],
)
def test_event_is_delivered_as_often_as_the_fault_says(
    times: Sequence[float], expected: list[str], n_sent: int
) -> None:
    targets = Targets()
    assert outcomes(targets, times) == expected
    assert len(targets.sent) == n_sent


def test_refused_event_ends_in_the_dead_letter_queue() -> None:
    targets = Targets(refuse=True)
    assert outcomes(targets, (0.0,)) == ["dead letter"]
    assert len(targets.dead) == 1


def test_refused_by_the_fault_is_a_dead_letter_at_once() -> None:
    targets = Targets()
    assert outcomes(targets, Refused()) == ["dead letter"]
    assert not targets.sent
    assert len(targets.dead) == 1
