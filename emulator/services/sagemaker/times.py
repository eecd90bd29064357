"""Times as moto stores them (UTC, no time zone), and as SageMaker's responses and events contain them."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Current time."""
    return datetime.now(UTC).replace(tzinfo=None)


def epoch_s(moment: datetime) -> float:
    """Seconds since 1970, as AWS JSON contains times."""
    return moment.replace(tzinfo=UTC).timestamp()


def iso(moment: datetime) -> str:
    """``2026-11-23T02:00:00Z``, the format of most times in SageMaker's events."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
