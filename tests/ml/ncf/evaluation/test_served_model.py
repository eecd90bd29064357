"""Monitoring of the model that serves: which pairs it is scored on, shares of unknown ids, quality, drift."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.contract import RANDOM_SPLIT
from ml.ncf.data.interactions import Interactions
from ml.ncf.data.prepared_run import PreparedRun
from ml.ncf.evaluation.champion import Champion
from ml.ncf.evaluation.popularity_shift import population_stability_index
from ml.ncf.evaluation.served_model import DAY_S, served_report
from ml.ncf.model import artifact
from ml.ncf.model.artifact import Artifact
from ml.ncf.model.ids import IdMap

SEED = 7


@pytest.fixture(scope="module")
def trained(model_dir: Path) -> Artifact:
    """The model, which has seen all pairs of the run."""
    return artifact.read(model_dir)


@pytest.fixture(scope="module")
def run(run: PreparedRun) -> PreparedRun:
    """The run, whose test pairs are those of the newest day and whose others are of the week before."""
    rng = np.random.default_rng(0)
    newest = 1_700_000_000

    def at(split: Interactions, first: int, last: int) -> Interactions:
        return replace(split, times=rng.integers(newest - last, newest - first, len(split)))

    splits = {
        name: at(of, 0, DAY_S // 2) if name == "test" else at(of, 2 * DAY_S, 6 * DAY_S)
        for name, of in run.splits.items()
    }
    return replace(run, splits=splits)


def before_the_newest_day(trained: Artifact, run: PreparedRun) -> Artifact:
    """The model as if it had not seen the test pairs."""
    known = run.splits["train"].union(run.splits["validation"])
    data = replace(trained.data, seen_indptr=known.indptr, seen_indices=known.indices)
    return replace(trained, data=data)


def report_of(run: PreparedRun, model: Artifact, gate_metrics: dict[str, float] | None = None) -> dict:
    report = served_report(run, Champion("arn:champion", model, gate_metrics or {}), SEED)
    assert report is not None
    return report


def test_only_pairs_of_the_newest_day_that_the_model_has_not_seen_are_scored(
    trained: Artifact, run: PreparedRun
) -> None:
    report = report_of(run, before_the_newest_day(trained, run))
    assert report["n_pairs"] == report["n_pairs_of_the_day"] == len(run.splits["test"])
    assert report["hr_at_10"] > 0.3
    assert 0 < report["coverage"] <= 1
    seen_all = report_of(run, trained)
    assert (seen_all["n_pairs"], seen_all["n_pairs_of_the_day"]) == (0, len(run.splits["test"]))
    assert seen_all["ndcg_at_10"] is None


def test_unknown_users_and_items_are_counted_and_unknown_items_are_missed(
    trained: Artifact, run: PreparedRun
) -> None:
    model = before_the_newest_day(trained, run)
    users = [f"other-{n}" if n < 60 else each for n, each in enumerate(model.data.user_ids.tolist())]
    items = [f"other-{each}" for each in model.data.item_ids.tolist()]
    half_unknown = replace(model, data=replace(model.data, user_ids=IdMap.of(users)))
    assert report_of(run, half_unknown)["unknown_user_share"] == 0.5
    nothing_known = report_of(run, replace(model, data=replace(model.data, item_ids=IdMap.of(items))))
    assert (nothing_known["unknown_item_share"], nothing_known["hr_at_10"]) == (1.0, 0.0)


def test_drop_is_what_exceeds_the_noise(trained: Artifact, run: PreparedRun) -> None:
    model = before_the_newest_day(trained, run)
    upper = report_of(run, model)["intervals"]["ndcg_at_10"][1]
    assert report_of(run, model)["ndcg_drop"] is None  # the gate's metrics are not known
    assert report_of(run, model, {"ndcg_at_10": upper - 0.01})["ndcg_drop"] == 0.0
    assert report_of(run, model, {"ndcg_at_10": upper + 0.2})["ndcg_drop"] == pytest.approx(0.2)


def test_first_run_has_the_popularity_shift_only(run: PreparedRun) -> None:
    report = served_report(run, None, SEED)
    assert report is not None
    assert report["popularity_shift"] >= 0
    assert report["hr_at_10"] is report["unknown_user_share"] is report["model_package_arn"] is None


def test_events_without_times_have_no_newest_day(trained: Artifact, run: PreparedRun) -> None:
    assert served_report(replace(run, split_rule=RANDOM_SPLIT), Champion("arn", trained), SEED) is None


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(1, 5))
def test_equal_shares_have_no_shift(counts: list[int], factor: int) -> None:
    before = 1000 * np.array([*counts, 1])  # large: the pseudo-counts of the bins weigh little
    found = population_stability_index(factor * before, before, before)
    assert found == pytest.approx(0.0, abs=0.01)


def test_shift_exceeds_the_usual_threshold_only_for_large_changes() -> None:
    rng, shares = np.random.default_rng(1), 1 / np.arange(1, 1001)
    shares /= shares.sum()
    earlier, week, day = (rng.multinomial(n, shares) for n in (50_000, 2000, 300))
    assert population_stability_index(day, week, earlier) < 0.1
    reversed_day = rng.multinomial(300, shares[::-1])
    assert population_stability_index(reversed_day, week, earlier) > 0.25
    with_new_item = [np.append(counts, n) for counts, n in ((day, 150), (week, 0), (earlier, 0))]
    assert population_stability_index(*with_new_item) > 0.25
    assert population_stability_index(day * 0, week, earlier) is None
