"""What a job says: whole lines for a log, flushed as they happen, and a bar where a person watches."""

from __future__ import annotations

import sys
import time
from types import TracebackType

BAR_WIDTH = 30
REFRESH_S = 0.1


def say(line: str) -> None:
    """A line on stdout."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def complain(message: str) -> str:
    """A message on stderr, folded to one line; that line."""
    line = " ".join(message.split())
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
    return line


class Progress:
    """A bar on the terminal while something runs, gone when it ends; nothing where stderr is no terminal."""

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
        """One more step is done."""
        self._done += 1
        now = time.monotonic()
        if not self._visible or now - self._shown_at < REFRESH_S:
            return
        self._shown_at = now
        filled = BAR_WIDTH * self._done // self._n_steps
        bar = "█" * filled + "░" * (BAR_WIDTH - filled)
        sys.stderr.write(f"\r\033[K{self._label} {bar} {self._done}/{self._n_steps}")
        sys.stderr.flush()
