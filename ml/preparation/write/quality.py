"""Data quality gate: limits on the metrics of a run, checked before the run is complete.

The limits are a JSON list of expectations ``{"name", "min", "max"}``; ``min`` or ``max`` may be absent. The
name is a key of :data:`ml.preparation.write.quality_metrics.METRICS`; other metrics have no limits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from typing import Any

from ml.contract import QUALITY_FILE
from ml.preparation.errors import InputError
from ml.preparation.spark.storage import Storage
from ml.preparation.write.quality_metrics import (
    METRICS,
    MISSING_SHARES,
    QUARANTINED_SHARE,
    QualityMetric,
    RunStatistics,
)
from ml.settings.preparation import QualitySettings

_DEFAULTS = "expectations.json"
_FIELDS = {"name", "min", "max"}


class QualityError(InputError):
    """A metric is outside its limits; the message names the metric, its value and the limits."""


@dataclass(frozen=True)
class Expectation:
    """Limits of a metric, both inclusive."""

    name: str
    min: float | None = None
    max: float | None = None

    def allows(self, value: float) -> bool:
        """Whether a value is within the limits."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


def load_expectations(storage: Storage, settings: QualitySettings) -> list[Expectation]:
    """The expectations of a run: from the file in the settings, or the packaged ones.

    Raises:
        InputError: the file does not exist, or is not a list of expectations.
    """
    uri = settings.expectations
    if uri is not None and not storage.exists(uri):
        raise InputError(f"{uri}: no such file; give --expectations an existing one")
    text = packaged_expectations() if uri is None else storage.read_text(uri)
    expectations = parse_expectations(text, uri or "expectations")
    share = settings.max_quarantined_share
    if uri is None and share is not None:
        expectations = [_follow(each, share) for each in expectations]
    expectations = with_quarantined_share(expectations, share)
    for flag, side, limits in (
        ("--expect-at-least", "min", settings.expect_at_least),
        ("--expect-at-most", "max", settings.expect_at_most),
    ):
        for name, limit in limits.items():
            expectations = _with_limit(expectations, name, side, limit, flag)
    return expectations


def _follow(expectation: Expectation, share: float) -> Expectation:
    """The share of rows without a value may be as large as that of all unusable rows."""
    if expectation.name not in MISSING_SHARES or expectation.max is None:
        return expectation
    return replace(expectation, max=max(expectation.max, share))


def _with_limit(
    expectations: Sequence[Expectation], name: str, side: str, limit: float, flag: str
) -> list[Expectation]:
    """The expectations with another limit of a metric."""
    if name not in METRICS:
        raise InputError(f"{flag} {name}: give one of {', '.join(METRICS)}")
    before = next((each for each in expectations if each.name == name), Expectation(name))
    changed = replace(before, min=limit) if side == "min" else replace(before, max=limit)
    if changed.min is not None and changed.max is not None and changed.min > changed.max:
        raise InputError(f"{flag} {name}={limit:g}: the other limit is {changed.min:g} to {changed.max:g}")
    return [*(each for each in expectations if each.name != name), changed]


def packaged_expectations() -> str:
    """The packaged expectations, as JSON text."""
    return resources.files("ml.preparation.write").joinpath(_DEFAULTS).read_text(encoding="utf-8")


def parse_expectations(text: str, source: str) -> list[Expectation]:
    """The expectations of a JSON text.

    Args:
        text: a JSON list of expectations.
        source: name of the text in messages.

    Raises:
        InputError: the text is not a list of expectations; the message names the source and the field.
    """
    try:
        documents = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{source}: not JSON: {error}") from error
    if not isinstance(documents, list):
        raise InputError(f"{source}: expected a list of expectations")
    found = [_parse(document, f"{source}: [{number}]") for number, document in enumerate(documents)]
    names = [each.name for each in found]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{source}: {repeated[0]} appears more than once")
    return found


def _parse(document: Any, where: str) -> Expectation:
    if not isinstance(document, dict) or document.get("name") not in METRICS:
        raise InputError(f"{where}.name: give one of {', '.join(METRICS)}")
    if unknown := sorted(set(document) - _FIELDS):
        raise InputError(f"{where}.{unknown[0]}: unknown field; known are {', '.join(sorted(_FIELDS))}")
    limits = {side: document[side] for side in ("min", "max") if document.get(side) is not None}
    for side, limit in limits.items():
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or math.isnan(limit):
            raise InputError(f"{where}.{side}: expected a number, got {limit!r}")
    if not limits:
        raise InputError(f"{where}: {document['name']} has neither min nor max")
    if len(limits) == 2 and limits["min"] > limits["max"]:
        raise InputError(f"{where}.min: {limits['min']} is above max, {limits['max']}")
    return Expectation(document["name"], **limits)


def with_quarantined_share(expectations: Sequence[Expectation], share: float | None) -> list[Expectation]:
    """The expectations with ``share`` as the maximum share of unusable rows, unless it is None."""
    if share is None:
        return list(expectations)
    others = [each for each in expectations if each.name != QUARANTINED_SHARE]
    given = next(
        (each for each in expectations if each.name == QUARANTINED_SHARE), Expectation(QUARANTINED_SHARE)
    )
    return [replace(given, max=share), *others]


def max_quarantined_share(expectations: Sequence[Expectation]) -> float:
    """The maximum share of unusable rows; 1 without such an expectation."""
    limits = [each.max for each in expectations if each.name == QUARANTINED_SHARE and each.max is not None]
    return limits[0] if limits else 1.0


def evaluate(expectations: Sequence[Expectation], statistics: RunStatistics) -> list[dict[str, Any]]:
    """Evaluate each expectation; one that needs a previous run is skipped if there is none.

    Returns:
        One object per expectation, as in ``quality.json``; ``passed`` is None if skipped.
    """
    return [_evaluate(each, METRICS[each.name], statistics) for each in expectations]


def _evaluate(expectation: Expectation, metric: QualityMetric, statistics: RunStatistics) -> dict[str, Any]:
    value = metric.value(statistics)
    return {
        "name": expectation.name,
        "means": metric.means,
        "limit": {"min": expectation.min, "max": expectation.max},
        "observed": value,
        "passed": None if value is None else expectation.allows(value),
        "note": "skipped: no previous run to compare with" if value is None else None,
    }


def quality_json(run_id: str, report: Sequence[Mapping[str, Any]], statistics: RunStatistics) -> str:
    """Text of ``quality.json``: the report, and the counts that it was computed from."""
    document = {
        "run_id": run_id,
        "passed": all(each["passed"] is not False for each in report),
        "expectations": report,
        "counts": asdict(statistics.counts),
        "unseen_items": {**asdict(statistics.unseen), "warning": statistics.unseen.warning},
        "previous_counts": None if statistics.previous is None else asdict(statistics.previous),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _option(failed: Mapping[str, Any]) -> str:
    """The option with which an expectation would have passed."""
    is_low = failed["limit"]["min"] is not None and failed["observed"] < failed["limit"]["min"]
    return f"--expect-at-{'least' if is_low else 'most'} {failed['name']}={failed['observed']:.4g}"


def require_passed(report: Sequence[Mapping[str, Any]], uri: str) -> None:
    """Raise an error if an expectation failed.

    Args:
        report: of :func:`evaluate`.
        uri: the run, for the message.

    Raises:
        QualityError: names the first failed expectation, its value and its limits.
    """
    failed = [each for each in report if each["passed"] is False]
    if failed:
        first = failed[0]
        words = {"min": "at least", "max": "at most"}
        limit = " and ".join(f"{words[side]} {n:g}" for side, n in first["limit"].items() if n is not None)
        others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise QualityError(
            f"{uri}: quality: {first['name']} is {first['observed']:g}, expected {limit}{others}; "
            f"it is {first['means']}; see {QUALITY_FILE} there, or give another limit, such as "
            f"{_option(first)}"
        )
