"""Form and range of the times in a sample, for reports."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from ml.preparation.detect.times import detect_times, unix_seconds

_MAX_VALUES = 1_500  # of a sample: patterns take microseconds each


class TimeSummary(NamedTuple):
    """Form of some times in words, and their first and last day (UTC)."""

    form: str
    first: str | None = None  # YYYY-MM-DD
    last: str | None = None
    is_local: bool = False  # times of day without an offset, taken as UTC unless --time-zone is given


def summarize_times(values: Sequence[str]) -> TimeSummary:
    """Summary of the values of a time column; of many values, of evenly spaced ones.

    Raises:
        AmbiguousTimeError: month and day cannot be told apart.
    """
    step = max(1, len(values) // _MAX_VALUES)
    texts = [value.strip() for value in values[::step]]
    found = detect_times(texts[:: max(1, len(texts) // 200)])
    if found is None:
        return TimeSummary("in an unknown form: give --time-format")
    moments = [moment for text in texts if (moment := unix_seconds(text, found.form)) is not None]
    days = [day_of(moment) for moment in (min(moments), max(moments))] if moments else [None, None]
    return TimeSummary(f"as {found.means}", days[0], days[1], found.is_local)


def day_of(moment: int) -> str:
    """The day of a Unix time in seconds, UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(moment))
