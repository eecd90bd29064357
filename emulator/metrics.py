"""Metrics of one emulator: those of its services, of `PutMetricData`, and of the embedded metric format.

Values are kept per minute, the resolution of CloudWatch's standard metrics.
"""

from __future__ import annotations

import json
import math
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MINUTE_S = 60
RETENTION_S = 7 * 24 * 3600  # longest window of an alarm (CloudWatch API, PutMetricAlarm, Period)
MAX_EMBEDDED_VALUES = 100  # CloudWatch user guide, embedded metric format specification


@dataclass(frozen=True)
class Metric:
    """Identity of a metric: two metrics with different dimensions have nothing in common."""

    region: str
    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, region: str, namespace: str, name: str, dimensions: Mapping[str, str]) -> Metric:
        """The metric with these dimensions."""
        return cls(region, namespace, name, frozenset(dimensions.items()))


class Metrics:
    """Values by metric and minute.

    The time of CloudWatch can be set ahead of the clock with `advance`, for tests of alarms whose periods are
    minutes to days.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minutes: dict[Metric, dict[int, array[float]]] = {}
        self._ahead_s = 0.0

    def now(self) -> float:
        """CloudWatch's time, in seconds since 1970."""
        return time.time() + self._ahead_s

    def advance(self, seconds: float) -> None:
        """Set CloudWatch's time ahead."""
        self._ahead_s += seconds

    def add(self, metric: Metric, values: Sequence[float], at: float | None = None) -> None:
        """Add values at a time of the machine's clock, by default now."""
        minute = int((self.now() if at is None else at + self._ahead_s) // MINUTE_S)
        with self._lock:
            minutes = self._minutes.setdefault(metric, {})
            if minute not in minutes:
                self._forget_old(minutes)
            minutes.setdefault(minute, array("d")).extend(values)

    def put(
        self, region: str, namespace: str, dimensions: Mapping[str, str], values: Mapping[str, float]
    ) -> None:
        """Add one value to each of a service's metrics."""
        for name, value in values.items():
            self.add(Metric.of(region, namespace, name, dimensions), [value])

    def put_gauge(self, metric: Metric, value: float) -> None:
        """Add a sampled value, unless it is the last one of this minute."""
        with self._lock:
            known = self._minutes.get(metric, {}).get(int(self.now() // MINUTE_S))
            if known and known[-1] == value:
                return
        self.add(metric, [value])

    def put_embedded(self, region: str, line: str) -> None:
        """Add the metrics of a log event in the embedded metric format; other events have none."""
        if line.startswith("{") and '"CloudWatchMetrics"' in line:
            for metric, values, at in _embedded(region, line):
                self.add(metric, values, at)

    def between(self, metric: Metric, start: float, end: float) -> array[float]:
        """Values of the minutes from `start` (inclusive) to `end` (exclusive), multiples of a minute."""
        first, last = int(start // MINUTE_S), int(end // MINUTE_S)
        found = array("d")
        with self._lock:
            minutes = self._minutes.get(metric, {})
            for minute in sorted(minutes):
                if first <= minute < last:
                    found.extend(minutes[minute])
        return found

    def minutes(self, region: str) -> Iterator[tuple[Metric, float, array[float]]]:
        """Each metric and minute of a region: metric, start of the minute, values."""
        with self._lock:
            found = [
                (metric, float(minute * MINUTE_S), array("d", values))
                for metric, minutes in self._minutes.items()
                if metric.region == region
                for minute, values in minutes.items()
            ]
        yield from found

    def _forget_old(self, minutes: dict[int, array[float]]) -> None:
        oldest = int((self.now() - RETENTION_S) // MINUTE_S)
        for minute in [each for each in minutes if each < oldest]:
            del minutes[minute]


def _embedded(region: str, line: str) -> Iterator[tuple[Metric, list[float], float]]:
    """Metrics of an event; what the specification does not allow is ignored, as CloudWatch does."""
    try:
        event = json.loads(line)
        metadata = event["_aws"]
        at = float(metadata["Timestamp"]) / 1000
        for directive in metadata["CloudWatchMetrics"]:
            for names in directive["Dimensions"]:
                dimensions = {name: str(event[name]) for name in names}
                for definition in directive["Metrics"]:
                    metric = Metric.of(region, directive["Namespace"], definition["Name"], dimensions)
                    yield metric, _values(event[definition["Name"]]), at
    except (ValueError, KeyError, TypeError):
        return


def _values(value: Any) -> list[float]:
    values = value if isinstance(value, list) else [value]
    if len(values) > MAX_EMBEDDED_VALUES:
        raise ValueError(f"{len(values)} values")
    return [float(each) for each in values]


STANDARD: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Sum": math.fsum,
    "Average": lambda values: math.fsum(values) / len(values),
    "Minimum": min,
    "Maximum": max,
    "SampleCount": len,
}


def is_statistic(name: str) -> bool:
    """Whether `statistic` can compute it: standard statistics and percentiles."""
    return name in STANDARD or _percentile(name) is not None


def statistic(name: str, values: Sequence[float]) -> float | None:
    """Statistic of a data point; None without values.

    Args:
        name: a standard statistic, or ``p99``, ``p99.9``: the smallest value with at least that share of the
            values at or below it.
    """
    if not len(values):
        return None
    percent = _percentile(name)
    if percent is None:
        return float(STANDARD[name](values))
    ordered = sorted(values)
    shares = [100 * (index + 1) / len(ordered) for index in range(len(ordered))]
    return ordered[min(bisect_left(shares, percent - 1e-9), len(ordered) - 1)]


def _percentile(name: str) -> float | None:
    try:
        percent = float(name.removeprefix("p"))
    except ValueError:
        return None
    return percent if name.startswith("p") and 0 <= percent <= 100 else None
