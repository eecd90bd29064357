"""Queue of EventBridge deliveries that injects faults and records the outcome of each delivery."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from emulator.delivery import Delivery, DeliveryQueue, Failure
from emulator.services.events.delivery import RuleDelivery

Outcome = Literal["pending", "delivered", "dead letter", "dropped"]
Fault = Callable[[RuleDelivery], Sequence[float]]
"""When a delivery is made, in seconds from now: once, several times, or never (an empty sequence)."""


def at_once(delivery: RuleDelivery) -> Sequence[float]:
    """No fault."""
    del delivery
    return (0.0,)


@dataclass
class Record:
    """One delivery and how it ended."""

    label: str
    outcome: Outcome = "pending"


class FaultyDeliveries(DeliveryQueue):
    """Delivery queue with a fault.

    Attributes:
        fault: decides when each delivery is made.
        records: of all deliveries, in the order of their events.
    """

    def __init__(self, n_workers: int) -> None:
        super().__init__("events", n_workers)
        self.fault: Fault = at_once
        self.records: list[Record] = []

    @property
    def n_pending(self) -> int:
        """Deliveries without an outcome."""
        return sum(record.outcome == "pending" for record in self.records)

    def submit(self, delivery: Delivery) -> None:
        """Queue a delivery at the times that the fault decides."""
        if not isinstance(delivery, RuleDelivery):
            raise TypeError(f"{delivery.label}: not a delivery of a rule")
        times = self.fault(delivery)
        if not times:
            self.records.append(Record(delivery.label, "dropped"))
        for seconds in times:
            record = Record(delivery.label)
            self.records.append(record)
            timer = threading.Timer(seconds, super().submit, args=(_Recorded(delivery, record),))
            timer.daemon = True
            timer.start()


class _Recorded(Delivery):
    """A delivery that records its outcome."""

    def __init__(self, delivery: RuleDelivery, record: Record) -> None:
        self._delivery = delivery
        self._record = record
        self.label = delivery.label
        self.policy = delivery.policy
        self.dead_letter_arn = delivery.dead_letter_arn

    def attempt(self, number: int) -> None:
        self._delivery.attempt(number)
        self._record.outcome = "delivered"

    def send_dead_letter(self, failure: Failure) -> None:
        self._delivery.send_dead_letter(failure)
        self._record.outcome = "dead letter"
