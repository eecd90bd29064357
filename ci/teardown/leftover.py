"""One thing to delete, and waiting for the end of what cannot be deleted at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

POLL_S = 5.0
TIMEOUT_S = 1800.0  # deleting an endpoint, or stopping a job, takes minutes


@dataclass(frozen=True)
class Leftover:
    """Something that the stage created at run time.

    Attributes:
        kind: what it is, for the list.
        name: its name, or a summary of many objects.
        delete: deletes it, or stops it and waits for its end; succeeds if it is gone.
    """

    kind: str
    name: str
    delete: Callable[[], None]


@dataclass(frozen=True)
class Waiter:
    """Polls until a condition is true.

    Raises:
        TimeoutError: it was not true within ``timeout_s``.
    """

    poll_s: float = POLL_S
    timeout_s: float = TIMEOUT_S

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Poll until ``condition`` returns a true value."""
        deadline = time.monotonic() + self.timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {self.timeout_s:g} s; run the command again")
            time.sleep(self.poll_s)
