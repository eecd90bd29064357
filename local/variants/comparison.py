"""Outcome of two models that answered at the same time: errors, latency and hits, with intervals.

The API records each answer to a single user if the stage says so (`api.record_answers`): a keyed hash of
the user, the model version, the items, the latency and the error. A hit is an answer one of whose items the
user clicked within a time. Users, and not answers, are independent of each other, and one user may have
answers of both models: the intervals are those of the delta method for ratios over users (Deng, Knoblich and
Lu, KDD 2018, "Applying the delta method in metric analytics", section 3).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from local.variants.records import Answer, Click

Z = 1.96  # of a two-sided interval of 95 %
MIN_USERS = 30  # per model: with fewer, the normal distribution says nothing
NO_HITS = "no hits"  # verdict if no click belongs to an answer


@dataclass(frozen=True)
class Rate:
    """A rate with its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Outcome:
    """Errors, latency and hits of one model's answers."""

    version: str
    n_users: int
    n_answers: int
    n_errors: int
    p50_ms: float
    p99_ms: float
    n_hits: int
    hit_rate: Rate


@dataclass(frozen=True)
class Comparison:
    """Both outcomes, the difference of their hit rates (treatment minus control), and what it shows."""

    control: Outcome
    treatment: Outcome
    difference: Rate
    verdict: str  # worse, better, no difference shown, no hits, too few users


class Tally:
    """Counts of answers and clicks, one answer at a time.

    What is kept grows with the users, the clicks and the distinct latencies (which the API rounds), and not
    with the answers.

    Args:
        clicks: each belongs to the user's newest answer before it that has its item.
        window_s: time after an answer in which clicks count.
    """

    def __init__(self, clicks: Iterable[Click], window_s: float) -> None:
        self._window_s = window_s
        self._clicks: dict[str, list[Click]] = defaultdict(list)
        for click in clicks:
            self._clicks[click.user].append(click)
        self._by_version: dict[str, _Version] = defaultdict(_Version)
        self._n_answers = 0

    @property
    def n_answers(self) -> dict[str, int]:
        """Answers of each version."""
        return {version: each.n_answers.total() for version, each in self._by_version.items()}

    def add(self, answer: Answer) -> None:
        """Count an answer; they may come in any order."""
        self._n_answers += 1
        counts = self._by_version[answer.version]
        counts.n_answers[answer.user] += 1
        counts.n_errors += bool(answer.error)
        counts.latencies_ms[answer.latency_ms] += 1
        for place, click in enumerate(self._clicks.get(answer.user, ())):
            if click.item in answer.items and 0 <= click.time - answer.time <= self._window_s:
                shown = (answer.time, -self._n_answers)  # of equal times, the first
                at = (answer.user, place)
                counts.shown[at] = max(counts.shown.get(at, shown), shown)

    def compare(self, control: str, treatment: str) -> Comparison:
        """Compare two versions; the answers of others are left out."""
        hits = self._hits(control, treatment)
        counts = {
            version: {
                user: (hits[version][user], n) for user, n in self._by_version[version].n_answers.items()
            }
            for version in (control, treatment)
        }
        outcomes = {
            version: _outcome(version, self._by_version[version], counts[version]) for version in counts
        }
        difference = _difference(counts[control], counts[treatment])
        return Comparison(
            outcomes[control], outcomes[treatment], difference, _verdict(outcomes.values(), difference)
        )

    def _hits(self, *versions: str) -> dict[str, Counter[str]]:
        """Answers that led to a click: their number per version and user."""
        newest: dict[tuple[str, int], tuple[tuple[float, int], str]] = {}
        for version in versions:
            for at, shown in self._by_version[version].shown.items():
                newest[at] = max(newest.get(at, (shown, version)), (shown, version))
        # Several clicks on one answer are one hit.
        answers = {(shown, version, user) for (user, _), (shown, version) in newest.items()}
        hits: dict[str, Counter[str]] = {version: Counter() for version in versions}
        for _, version, user in answers:
            hits[version][user] += 1
        return hits


@dataclass
class _Version:
    """Counts of one model version.

    Attributes:
        n_answers: per user.
        shown: user and number of a click, to time and (negative) number of the newest answer before it that
            has its item.
    """

    n_answers: Counter[str] = field(default_factory=Counter)
    n_errors: int = 0
    latencies_ms: Counter[float] = field(default_factory=Counter)
    shown: dict[tuple[str, int], tuple[float, int]] = field(default_factory=dict)


def _residuals(counts: Mapping[str, tuple[int, int]]) -> tuple[float, dict[str, float]]:
    """Rate of hits, and each user's part of its error."""
    n_hits, n_answers = (sum(each[column] for each in counts.values()) for column in (0, 1))
    if not n_answers:
        return 0.0, {}
    rate = n_hits / n_answers
    return rate, {user: (hits - rate * answers) / n_answers for user, (hits, answers) in counts.items()}


def _interval(value: float, residuals: Iterable[float]) -> Rate:
    errors = list(residuals)
    n = len(errors)
    deviation = math.sqrt(math.fsum(error**2 for error in errors) * n / (n - 1)) if n > 1 else math.inf
    return Rate(value, value - Z * deviation, value + Z * deviation)


def _difference(control: Mapping[str, tuple[int, int]], treatment: Mapping[str, tuple[int, int]]) -> Rate:
    (control_rate, of_control), (treatment_rate, of_treatment) = map(_residuals, (control, treatment))
    users = of_control.keys() | of_treatment.keys()
    errors = (of_treatment.get(user, 0.0) - of_control.get(user, 0.0) for user in users)
    return _interval(treatment_rate - control_rate, errors)


def _outcome(version: str, counts: _Version, of_users: Mapping[str, tuple[int, int]]) -> Outcome:
    rate, residuals = _residuals(of_users)
    return Outcome(
        version=version,
        n_users=len(of_users),
        n_answers=counts.n_answers.total(),
        n_errors=counts.n_errors,
        p50_ms=_percentile(counts.latencies_ms, 50),
        p99_ms=_percentile(counts.latencies_ms, 99),
        n_hits=sum(hits for hits, _ in of_users.values()),
        hit_rate=_interval(rate, residuals.values()),
    )


def _percentile(counts: Counter[float], percent: int) -> float:
    """Percentile of values by their counts (nearest rank); 0 without values."""
    missing = max(math.ceil(counts.total() * percent / 100), 1)
    for value, n in sorted(counts.items()):
        missing -= n
        if missing <= 0:
            return value
    return 0.0


def _verdict(outcomes: Collection[Outcome], difference: Rate) -> str:
    if min(each.n_users for each in outcomes) < MIN_USERS:
        return "too few users"
    if not any(each.n_hits for each in outcomes):
        return NO_HITS
    if difference.high < 0:
        return "worse"
    return "better" if difference.low > 0 else "no difference shown"
