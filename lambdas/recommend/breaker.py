"""Circuit breaker of the endpoint, for one execution environment."""

from __future__ import annotations

import time
from collections.abc import Callable


class CircuitBreaker:
    """Circuit breaker: closed, open after consecutive failures, half-open when `open_s` has passed.

    While it is open, no call is made. Half-open, the next call is a probe: a success closes the circuit, a
    failure opens it for another `open_s`. An execution environment handles one request at a time, so that one
    probe is made at a time, and the state needs no lock. A probe that never reports (the function timed out)
    is followed by another.

    Args:
        max_failures: consecutive failures that open the circuit.
        open_s: time without calls before a probe.
        clock: monotonic time in seconds.
    """

    def __init__(
        self, *, max_failures: int, open_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_failures = max_failures
        self._open_s = open_s
        self._clock = clock
        self._n_failures = 0
        self._probe_at: float | None = None  # None: closed

    @property
    def permits_call(self) -> bool:
        """Whether the circuit is closed or half-open."""
        return self._probe_at is None or self._clock() >= self._probe_at

    def record_success(self) -> None:
        """Close the circuit."""
        self._n_failures = 0
        self._probe_at = None

    def record_failure(self) -> None:
        """Count a failure; open the circuit if there were too many, or if the call was a probe."""
        self._n_failures += 1
        if self._n_failures >= self._max_failures:
            self._probe_at = self._clock() + self._open_s
