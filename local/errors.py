"""How a run on this machine can end badly, and with which exit code."""

from __future__ import annotations

from dataclasses import dataclass, field

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_REJECTED = 3  # the candidate lost the gate: the platform works, the model doesn't
EXIT_INTERRUPTED = 130  # 128 + SIGINT


class BadInputError(Exception):
    """What the user gave can't be used; the message says why, in one line."""


@dataclass
class StepFailedError(Exception):
    """A step failed: which, why, and the last lines of its log."""

    step: str
    reason: str
    log_lines: list[str] = field(default_factory=list)
    rejected: bool = False

    def __str__(self) -> str:
        return f"{self.step} failed: {self.reason}"
