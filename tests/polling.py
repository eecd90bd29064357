"""Wait for a condition in a test."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
FIRST_PAUSE_S, LAST_PAUSE_S, PAUSE_GROWTH = 0.02, 0.3, 1.3


def eventually(look: Callable[[], T | None], timeout_s: float = 30.0, what: str = "condition") -> T:
    """Call ``look`` until it returns a true value, and return that value.

    Raises:
        AssertionError: no true value within ``timeout_s`` seconds; the message begins with ``what``.
    """
    deadline = time.monotonic() + timeout_s
    pause_s = FIRST_PAUSE_S
    while not (value := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s:g} s")
        time.sleep(pause_s)
        pause_s = min(pause_s * PAUSE_GROWTH, LAST_PAUSE_S)
    return value
