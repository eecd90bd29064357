"""Comparison of two models: hits, intervals and verdicts."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest

from local.variants.comparison import Comparison, Tally
from local.variants.records import Answer, Click

CONTROL, TREATMENT = "20261123T020000Z", "20261124T020000Z"
KEY = "5f0c1e2a"


def compare(answers: Iterable[Answer], clicks: Iterable[Click]) -> Comparison:
    """Comparison of both models, with clicks within ten minutes."""
    tally = Tally(clicks, 600)
    for answer in answers:
        tally.add(answer)
    return tally.compare(CONTROL, TREATMENT)


def answers_of(rng: random.Random, n_users: int, rates: dict[str, float]) -> tuple[list[Answer], list[Click]]:
    """Each user gets answers of both models at random, and clicks with the rate of the model."""
    answers, clicks = [], []
    for number in range(n_users):
        for moment in range(rng.randrange(1, 6)):
            version = rng.choice([CONTROL, TREATMENT])
            time = 10_000.0 * moment
            answers.append(Answer(time, f"u{number}", KEY, version, frozenset({"7", "8"}), 5.0, ""))
            if rng.random() < rates[version]:
                clicks.append(Click(time + 60, f"u{number}", "7"))
    return answers, clicks


def test_click_belongs_to_the_newest_answer_that_has_its_item() -> None:
    def answer(time: float, version: str, item: str) -> Answer:
        return Answer(time, "u", KEY, version, frozenset({item}), 1.0, "")

    answers = [answer(0, CONTROL, "7"), answer(50, TREATMENT, "7"), answer(90, CONTROL, "8")]
    clicks = [Click(100, "u", "7"), Click(5000, "u", "8"), Click(10, "u", "9"), Click(95, "other", "8")]
    found = compare(answers, clicks)
    assert (found.control.n_hits, found.treatment.n_hits) == (0, 1)
    assert (found.control.n_answers, found.treatment.n_answers) == (2, 1)
    assert found.verdict == "too few users"


@pytest.mark.parametrize(
    ("rates", "verdict"),
    [
        ({CONTROL: 0.3, TREATMENT: 0.1}, "worse"),
        ({CONTROL: 0.1, TREATMENT: 0.3}, "better"),
        ({CONTROL: 0.2, TREATMENT: 0.2}, "no difference shown"),
    ],
)
def test_verdict_follows_the_interval_of_the_difference(rates: dict[str, float], verdict: str) -> None:
    answers, clicks = answers_of(random.Random(3), 400, rates)
    found = compare(answers, clicks)
    assert found.verdict == verdict
    difference = found.treatment.hit_rate.value - found.control.hit_rate.value
    assert found.difference.value == pytest.approx(difference)
    assert found.difference.low < difference < found.difference.high


def test_interval_contains_no_difference_in_95_of_100_comparisons_of_equal_models() -> None:
    rng = random.Random(11)
    n_covered = 0
    for _ in range(200):
        answers, clicks = answers_of(rng, 100, {CONTROL: 0.2, TREATMENT: 0.2})
        found = compare(answers, clicks)
        n_covered += found.difference.low <= 0 <= found.difference.high
    assert 180 <= n_covered <= 198


def test_errors_and_latencies_are_counted_per_model() -> None:
    items = frozenset({"7"})
    answers = [Answer(0, f"u{n}", KEY, CONTROL, items, float(n), "") for n in range(1, 101)]
    answers += [Answer(0, "u1", KEY, TREATMENT, frozenset(), 900.0, "ModelFailed")]
    found = compare(answers, [])
    assert (found.control.p50_ms, found.control.p99_ms, found.control.n_errors) == (50.0, 99.0, 0)
    assert (found.treatment.n_errors, found.treatment.p99_ms) == (1, 900.0)


def test_clicks_that_belong_to_no_answer_are_no_comparison() -> None:
    answers, clicks = answers_of(random.Random(3), 400, {CONTROL: 0.3, TREATMENT: 0.1})
    milliseconds = [Click(1000 * click.time, click.user, click.item) for click in clicks if click.time > 60]
    assert compare(answers, milliseconds).verdict == "no hits"


def test_answers_in_any_order_lead_to_the_same_comparison() -> None:
    answers, clicks = answers_of(random.Random(5), 100, {CONTROL: 0.3, TREATMENT: 0.1})
    assert compare(answers, clicks) == compare(answers[::-1], clicks)


def test_two_clicks_on_one_answer_are_one_hit() -> None:
    answers = [Answer(0, "u", KEY, CONTROL, frozenset({"7", "8"}), 1.0, "")]
    found = compare(answers, [Click(1, "u", "7"), Click(2, "u", "8")])
    assert found.control.n_hits == 1


def test_memory_does_not_grow_with_the_answers() -> None:
    def stream(n_answers: int) -> Iterator[Answer]:
        for number in range(n_answers):
            items = frozenset(str(number + place) for place in range(100))
            yield Answer(float(number), f"u{number % 50}", KEY, CONTROL, items, float(number % 20), "")

    def peak(n_answers: int) -> int:
        tracemalloc.start()
        compare(stream(n_answers), [Click(5.0, "u0", "7")])
        (_, found), _ = tracemalloc.get_traced_memory(), tracemalloc.stop()
        return found

    peak(100)  # imports
    assert peak(5_000) < 1.2 * peak(500)
