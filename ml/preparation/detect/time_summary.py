"""Form and range of the times in a sample, for reports."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timezone, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ml.preparation.detect.input_error import InputError
from ml.preparation.detect.times import detect_times, form_of, is_local_time, unix_seconds

_MAX_VALUES = 1_500  # of a sample: patterns take microseconds each


class TimeSummary(NamedTuple):
    """Form of some times in words, and their first and last day (UTC)."""

    form: str
    first: str | None = None  # YYYY-MM-DD
    last: str | None = None
    is_local: bool = False  # times of day without an offset, taken as UTC unless --time-zone is given
    unread_share: float = 0.0  # of the values: the job quarantines their rows
    unread: str = ""  # one of them


def summarize_times(
    values: Sequence[str], time_format: str | None = None, time_zone: str | None = None
) -> TimeSummary:
    """Summary of the values of a time column; of many values, of evenly spaced ones.

    Args:
        values: of the column.
        time_format: the configured form; None: detected.
        time_zone: the configured zone of times without one; None: UTC.

    Raises:
        AmbiguousTimeError: month and day cannot be told apart.
        InputError: the form or the zone does not exist, or no value has the form.
    """
    step = max(1, len(values) // _MAX_VALUES)
    texts = [value.strip() for value in values[::step]]
    zone = _zone(time_zone)
    if time_format is None:
        found = detect_times(texts[:: max(1, len(texts) // 200)])
        if found is None:
            return TimeSummary("in an unknown form: give --time-format")
        time_format = found.form
    try:
        form = form_of(time_format)
    except ValueError as error:
        raise InputError(f"--time-format {error}") from None
    read = [unix_seconds(text, time_format, zone) for text in texts]
    moments = [moment for moment in read if moment is not None]
    if texts and not moments:
        raise InputError(f"no time such as {texts[0]!r} has the form --time-format {time_format}")
    has_local = form.units_per_s is None and any(is_local_time(text, time_format) for text in texts)
    days = [day_of(moment) for moment in (min(moments), max(moments))] if moments else [None, None]
    means = f"as {form.means}" + (f" in {time_zone}" if has_local and time_zone else "")
    unread = [text for text, moment in zip(texts, read) if moment is None]
    return TimeSummary(
        means,
        days[0],
        days[1],
        has_local and time_zone is None,
        len(unread) / max(len(texts), 1),
        unread[0] if unread else "",
    )


def _zone(name: str | None) -> tzinfo:
    if name is None:
        return timezone.utc
    try:
        offset: tzinfo | None = datetime.strptime(name, "%z").tzinfo if name[0] in "+-" else None
        return offset or ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise InputError(f"--time-zone {name}: no such time zone; give one such as Asia/Seoul") from None


def day_of(moment: int) -> str:
    """The day of a Unix time in seconds, UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(moment))
