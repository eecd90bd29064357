"""Failures of a local run, and their exit codes."""

from __future__ import annotations

from dataclasses import dataclass, field

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_REJECTED = 3  # the candidate failed the quality gate
EXIT_RISK = 3  # a review found what `--fail-on` names
EXIT_INTERRUPTED = 130  # 128 + SIGINT


class BadInputError(Exception):
    """Unusable input; the message gives the reason in one line."""


@dataclass
class StepFailedError(Exception):
    """Failure of a step: its name, the reason, and the last lines of its log."""

    step: str
    reason: str
    log_lines: list[str] = field(default_factory=list)
    rejected: bool = False

    def __str__(self) -> str:
        return f"{self.step} failed: {self.reason}"
