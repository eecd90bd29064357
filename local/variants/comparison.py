"""Outcome of two models that answered at the same time: errors, latency and hits, with intervals.

The API records each answer to a single user if the stage says so (`api.record_answers`): a digest of the
user, the model version, the items, the latency and the error. A hit is an answer one of whose items the user
clicked within a time. Users, and not answers, are independent of each other, and one user may have answers
of both models: the intervals are those of the delta method for ratios over users (Deng, Knoblich and Lu, KDD
2018, "Applying the delta method in metric analytics", section 3).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

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


def compare(
    answers: Sequence[Answer], clicks: Iterable[Click], control: str, treatment: str, window_s: float
) -> Comparison:
    """Compare the answers of two model versions.

    Args:
        answers: of both, and of others, which are left out.
        clicks: each belongs to the user's newest answer before it that has its item.
        control, treatment: model versions.
        window_s: time after an answer in which clicks count.
    """
    chosen = [each for each in answers if each.version in (control, treatment)]
    hits = _hits(chosen, clicks, window_s)
    counts = {version: _by_user(chosen, hits, version) for version in (control, treatment)}
    outcomes = {version: _outcome(version, chosen, counts[version]) for version in counts}
    difference = _difference(counts[control], counts[treatment])
    return Comparison(
        outcomes[control], outcomes[treatment], difference, _verdict(outcomes.values(), difference)
    )


def _hits(answers: Sequence[Answer], clicks: Iterable[Click], window_s: float) -> set[int]:
    """Indices of the answers that led to a click."""
    of_user: dict[str, list[int]] = defaultdict(list)
    for index, answer in enumerate(answers):
        of_user[answer.user].append(index)
    hits = set()
    for click in clicks:
        shown = [
            index
            for index in of_user.get(click.user, ())
            if click.item in answers[index].items and 0 <= click.time - answers[index].time <= window_s
        ]
        if shown:
            hits.add(max(shown, key=lambda index: answers[index].time))
    return hits


def _by_user(answers: Sequence[Answer], hits: set[int], version: str) -> dict[str, tuple[int, int]]:
    """Hits and answers of each user with a version."""
    counts: dict[str, tuple[int, int]] = {}
    for index, answer in enumerate(answers):
        if answer.version == version:
            n_hits, n_answers = counts.get(answer.user, (0, 0))
            counts[answer.user] = (n_hits + (index in hits), n_answers + 1)
    return counts


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
    deviation = math.sqrt(sum(error**2 for error in errors) * n / (n - 1)) if n > 1 else math.inf
    return Rate(value, value - Z * deviation, value + Z * deviation)


def _difference(control: Mapping[str, tuple[int, int]], treatment: Mapping[str, tuple[int, int]]) -> Rate:
    (control_rate, of_control), (treatment_rate, of_treatment) = map(_residuals, (control, treatment))
    users = of_control.keys() | of_treatment.keys()
    errors = (of_treatment.get(user, 0.0) - of_control.get(user, 0.0) for user in users)
    return _interval(treatment_rate - control_rate, errors)


def _outcome(version: str, answers: Sequence[Answer], counts: Mapping[str, tuple[int, int]]) -> Outcome:
    own = [each for each in answers if each.version == version]
    latencies = sorted(each.latency_ms for each in own) or [0.0]
    rate, residuals = _residuals(counts)
    return Outcome(
        version=version,
        n_users=len(counts),
        n_answers=len(own),
        n_errors=sum(bool(each.error) for each in own),
        p50_ms=_percentile(latencies, 50),
        p99_ms=_percentile(latencies, 99),
        n_hits=sum(hits for hits, _ in counts.values()),
        hit_rate=_interval(rate, residuals.values()),
    )


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def _verdict(outcomes: Collection[Outcome], difference: Rate) -> str:
    if min(each.n_users for each in outcomes) < MIN_USERS:
        return "too few users"
    if not any(each.n_hits for each in outcomes):
        return NO_HITS
    if difference.high < 0:
        return "worse"
    return "better" if difference.low > 0 else "no difference shown"
