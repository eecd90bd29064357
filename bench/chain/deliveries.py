"""Queues of EventBridge and of Lambda's asynchronous invocations that record outcomes, and inject faults."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from emulator.delivery import Delivery, DeliveryError, DeliveryQueue, Failure
from emulator.services.events.delivery import RuleDelivery

Outcome = Literal["pending", "delivered", "dead letter", "dropped"]


@dataclass(frozen=True)
class Refused:
    """The target refuses a delivery until it is given up: the event becomes a dead letter."""


Fault = Callable[[RuleDelivery], Sequence[float] | Refused]
"""Delays of a delivery in seconds: one each time that it is made; an empty sequence: it is lost."""


def at_once(delivery: RuleDelivery) -> Sequence[float]:
    """No fault."""
    del delivery
    return (0.0,)


@dataclass
class Record:
    """One delivery and how it ended."""

    label: str
    outcome: Outcome = "pending"


class RecordedQueue(DeliveryQueue):
    """Delivery queue that records outcomes.

    Attributes:
        records: records of all deliveries, in the order of their events.
    """

    def __init__(self, name: str, n_workers: int) -> None:
        super().__init__(name, n_workers)
        self.records: list[Record] = []

    @property
    def pending(self) -> list[Record]:
        """Deliveries without an outcome."""
        return [record for record in list(self.records) if record.outcome == "pending"]

    def submit(self, delivery: Delivery) -> None:
        """Queue a delivery."""
        record = Record(delivery.label)
        self.records.append(record)
        super().submit(RecordedDelivery(delivery, record))


class FaultyDeliveries(RecordedQueue):
    """Queue of EventBridge with a fault.

    Attributes:
        fault: decides when each delivery is made.
    """

    def __init__(self, n_workers: int) -> None:
        super().__init__("events", n_workers)
        self.fault: Fault = at_once

    def submit(self, delivery: Delivery) -> None:
        """Queue a delivery at the times that the fault decides."""
        if not isinstance(delivery, RuleDelivery):
            raise TypeError(f"{delivery.label}: not a delivery of a rule")
        times = self.fault(delivery)
        if isinstance(times, Refused):
            super().submit(RefusedDelivery(delivery))
            return
        if not times:
            self.records.append(Record(delivery.label, "dropped"))
        for seconds in times:
            if seconds <= 0:
                super().submit(delivery)
            else:
                self._submit_later(delivery, seconds)

    def _submit_later(self, delivery: Delivery, seconds: float) -> None:
        record = Record(delivery.label)
        self.records.append(record)
        later = RecordedDelivery(delivery, record)
        timer = threading.Timer(seconds, DeliveryQueue.submit, args=(self, later))
        timer.daemon = True
        timer.start()


class _Wrapped(Delivery):
    """A delivery in the place of another one."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self.label = delivery.label
        self.policy = delivery.policy
        self.dead_letter_arn = delivery.dead_letter_arn

    def attempt(self, number: int) -> None:
        self._delivery.attempt(number)

    def send_dead_letter(self, failure: Failure) -> None:
        self._delivery.send_dead_letter(failure)

    def send_failure(self, failure: Failure) -> bool:
        return self._delivery.send_failure(failure)


class RecordedDelivery(_Wrapped):
    """A delivery that records its outcome."""

    def __init__(self, delivery: Delivery, record: Record) -> None:
        super().__init__(delivery)
        self._record = record

    def attempt(self, number: int) -> None:
        super().attempt(number)
        self._record.outcome = "delivered"

    def send_dead_letter(self, failure: Failure) -> None:
        super().send_dead_letter(failure)
        self._record.outcome = "dead letter"


class RefusedDelivery(_Wrapped):
    """A delivery that the target refuses."""

    def attempt(self, number: int) -> None:
        del number
        raise DeliveryError("NO_PERMISSIONS", "injected: the target refuses the event")
