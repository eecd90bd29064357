"""Output of a job: complete lines, flushed at once, and a progress bar if stderr is a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType

BAR_WIDTH = 30
REFRESH_S = 0.1


def log(line: str) -> None:
    """Write a line to stdout."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def log_error(message: str) -> str:
    """Write a message to stderr as one line, and return the line."""
    line = " ".join(message.split())
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
    return line


class Progress:
    """Progress bar, erased when the context ends; nothing is written if stderr is not a terminal."""

    def __init__(self, label: str, n_steps: int) -> None:
        self._label = label
        self._n_steps = n_steps
        self._done = 0
        self._shown_at = 0.0
        self._visible = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._visible:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()

    def advance(self) -> None:
        """Count one step as done."""
        self._done += 1
        now = time.monotonic()
        if not self._visible or now - self._shown_at < REFRESH_S:
            return
        self._shown_at = now
        filled = BAR_WIDTH * self._done // self._n_steps
        bar = "█" * filled + "░" * (BAR_WIDTH - filled)
        sys.stderr.write(f"\r\033[K{self._label} {bar} {self._done}/{self._n_steps}")
        sys.stderr.flush()
