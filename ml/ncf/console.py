"""What a job says: whole lines, flushed, so that a log shows them when they happen."""

from __future__ import annotations

import sys


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
