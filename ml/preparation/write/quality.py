"""The data quality gate: what a run must look like before anybody trains on it.

Expectations are data: a JSON list of ``{"name", "min", "max"}``, of which one limit may be absent. A name is
one of :data:`MEASURES`; what a file leaves out is not expected.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import QUALITY_FILE
from ml.manifest import Counts
from ml.preparation.errors import InputError

QUARANTINED_SHARE = "quarantined_share"
POPULARITY_SHIFT = "popularity_shift"
_DEFAULTS = "expectations.json"
_FIELDS = {"name", "min", "max"}


class QualityError(InputError):
    """The data are not what is expected of them; the message names expectation, observed and limit."""


@dataclass(frozen=True)
class Observed:
    """What the expectations are about."""

    counts: Counts
    previous: Counts | None  # None: a first run
    popularity_shift: float | None  # None: nothing to compare with


@dataclass(frozen=True)
class Measure:
    """A number that can be expected of a run."""

    means: str
    of: Callable[[Observed], float | None]  # None: there is no previous run


def _ratio(now: int, before: int | None) -> float | None:
    return None if not before else now / before


def _missing(column: str) -> Callable[[Observed], float]:
    return lambda run: run.counts.quarantined.get(f"missing_{column}", 0) / max(1, run.counts.events_read)


MEASURES: Mapping[str, Measure] = {
    QUARANTINED_SHARE: Measure(
        "rows that cannot be used, of all rows read",
        lambda run: sum(run.counts.quarantined.values()) / max(1, run.counts.events_read),
    ),
    **{
        f"missing_{column}_share": Measure(
            f"rows quarantined for having no {column}, of all rows read", _missing(column)
        )
        for column in ("user", "item", "time")
    },
    "users": Measure("users that are kept", lambda run: run.counts.users),
    "items": Measure("items that are kept", lambda run: run.counts.items),
    "events_read_ratio": Measure(
        "rows read, by those of the previous run",
        lambda run: _ratio(run.counts.events_read, run.previous.events_read if run.previous else None),
    ),
    "kept_ratio": Measure(
        "rows kept, by those of the previous run",
        lambda run: _ratio(run.counts.kept, run.previous.kept if run.previous else None),
    ),
    POPULARITY_SHIFT: Measure(
        "total variation distance of the items' shares of train from the previous run's: 0 the same, "
        "1 no item in common",
        lambda run: run.popularity_shift,
    ),
}


@dataclass(frozen=True)
class Expectation:
    """The limits of one measure, both allowed themselves."""

    name: str
    min: float | None = None
    max: float | None = None

    def holds(self, observed: float) -> bool:
        """Whether a number is within the limits."""
        return (self.min is None or observed >= self.min) and (self.max is None or observed <= self.max)


def packaged_expectations() -> str:
    """The expectations that come with the job, as JSON."""
    return resources.files("ml.preparation.write").joinpath(_DEFAULTS).read_text(encoding="utf-8")


def parse_expectations(text: str, source: str) -> list[Expectation]:
    """The expectations of a JSON text.

    Raises:
        InputError: it is not what the module says; the message names the source and the field.
    """
    try:
        documents = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{source}: not JSON: {error}") from error
    if not isinstance(documents, list):
        raise InputError(f"{source}: expected a list of expectations")
    found = [_parsed(document, f"{source}: [{number}]") for number, document in enumerate(documents)]
    names = [each.name for each in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{source}: {twice[0]} is expected twice")
    return found


def _parsed(document: Any, where: str) -> Expectation:
    if not isinstance(document, dict) or document.get("name") not in MEASURES:
        raise InputError(f"{where}.name: give one of {', '.join(MEASURES)}")
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
    """The expectations with another limit on the share of unusable rows, where one is given."""
    if share is None:
        return list(expectations)
    others = [each for each in expectations if each.name != QUARANTINED_SHARE]
    given = next(
        (each for each in expectations if each.name == QUARANTINED_SHARE), Expectation(QUARANTINED_SHARE)
    )
    return [replace(given, max=share), *others]


def quarantined_limit(expectations: Sequence[Expectation]) -> float:
    """The largest share of unusable rows; 1 where nothing is expected of it."""
    limits = [each.max for each in expectations if each.name == QUARANTINED_SHARE and each.max is not None]
    return limits[0] if limits else 1.0


def report_on(expectations: Sequence[Expectation], observed: Observed) -> list[dict[str, Any]]:
    """What became of each expectation; one that has nothing to compare with neither passed nor failed."""
    return [_judged(each, MEASURES[each.name], observed) for each in expectations]


def _judged(expectation: Expectation, measure: Measure, observed: Observed) -> dict[str, Any]:
    value = measure.of(observed)
    return {
        "name": expectation.name,
        "means": measure.means,
        "limit": {"min": expectation.min, "max": expectation.max},
        "observed": value,
        "passed": None if value is None else expectation.holds(value),
        "note": "skipped: no previous run to compare with" if value is None else None,
    }


def quality_json(run_id: str, report: Sequence[Mapping[str, Any]], observed: Observed) -> str:
    """``quality.json``: the report, and the counts that it is about."""
    document = {
        "run_id": run_id,
        "passed": all(each["passed"] is not False for each in report),
        "expectations": report,
        "counts": asdict(observed.counts),
        "previous_counts": None if observed.previous is None else asdict(observed.previous),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def require(report: Sequence[Mapping[str, Any]], uri: str) -> None:
    """Refuse a run that breaks an expectation.

    Args:
        report: of :func:`report_on`.
        uri: the run, for the message.

    Raises:
        QualityError: naming the first broken expectation, what was observed and the limit.
    """
    broken = [each for each in report if each["passed"] is False]
    if broken:
        first = broken[0]
        words = {"min": "at least", "max": "at most"}
        limit = " and ".join(f"{words[side]} {n:g}" for side, n in first["limit"].items() if n is not None)
        others = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise QualityError(
            f"{uri}: quality: {first['name']} is {first['observed']:g}, expected {limit}{others}; "
            f"it is {first['means']}; see {QUALITY_FILE} there, or give other --expectations"
        )


def popularity_shift(now: DataFrame, before: DataFrame) -> float | None:
    """How far the items' shares moved: total variation, half the sum of absolute differences.

    Levin, Peres and Wilmer 2009, Markov Chains and Mixing Times, proposition 4.2. Indices stand for the same
    item in both, since maps are only ever extended.

    Args:
        now: ``item_index``, ``n_interactions``.
        before: the same, of the previous run.

    Returns:
        From 0 to 1; None where either has no interactions.
    """
    pairs = now.select("item_index", F.col("n_interactions").alias("now")).join(
        before.select("item_index", F.col("n_interactions").alias("before")),
        on="item_index",
        how="full_outer",
    )
    filled = pairs.select(*(F.coalesce(name, F.lit(0)).alias(name) for name in ("now", "before")))
    totals = filled.agg(F.sum("now").alias("now"), F.sum("before").alias("before")).first()
    if totals is None or not totals["now"] or not totals["before"]:
        return None
    difference = F.abs(F.col("now") / F.lit(totals["now"]) - F.col("before") / F.lit(totals["before"]))
    summed = filled.agg(F.sum(difference)).first()
    return None if summed is None else float(summed[0]) / 2
