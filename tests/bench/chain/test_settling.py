"""A chain has come to rest when nothing was in progress for a while, and not before."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bench.chain.deliveries import Record, RecordedQueue
from bench.chain.stage_state import QUIET_S, StageState


class Chain(StageState):
    """A chain that is in progress at given looks.

    Attributes:
        looks: when it was looked at, and what was seen.
    """

    def __init__(self, busy: Iterator[bool], timeout_s: float = 60.0) -> None:
        queue = RecordedQueue("none", 1)
        super().__init__(None, queue, queue, timeout_s)  # type: ignore[arg-type]  # no service is called
        self._busy = busy
        self.looks: list[tuple[float, bool]] = []

    def is_busy(self) -> bool:
        found = next(self._busy)
        self.looks.append((time.monotonic(), found))
        return found


def _answers(*first: bool, then: bool) -> Iterator[bool]:
    yield from first
    while True:
        yield then


@pytest.mark.parametrize("first", [(True,), (False, True)])
def test_chain_is_looked_at_throughout_the_quiet_time(first: tuple[bool, ...]) -> None:
    chain = Chain(_answers(*first, then=False))
    chain.settle()
    quiet = [when for when, is_busy in chain.looks[len(first) :] if not is_busy]
    assert len(quiet) >= 3
    assert quiet[-1] - quiet[0] >= QUIET_S


def test_chain_that_stays_busy_is_an_error() -> None:
    chain = Chain(_answers(then=True), timeout_s=0.5)
    with pytest.raises(TimeoutError, match=r"within 0\.5 s"):
        chain.settle()


def test_deliveries_without_an_outcome_are_undelivered() -> None:
    chain = Chain(_answers(then=False))
    chain.deliveries.records += [Record("a", "delivered"), Record("b", "dead letter"), Record("c")]
    chain.invocations = RecordedQueue("invocations", 1)
    chain.invocations.records.append(Record("d"))
    assert chain.undelivered() == ["c", "d"]
