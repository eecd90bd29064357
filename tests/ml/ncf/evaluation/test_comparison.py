from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation.comparison import Comparison
from ml.ncf.evaluation.segments import MAX_NEW_USER_ITEMS, segments_of

N_USERS = 200


def known(counts: list[int]) -> Interactions:
    """Interactions of users with the given numbers of items."""
    users = np.repeat(np.arange(len(counts)), counts)
    items = np.concatenate([np.arange(count) for count in counts]) if users.size else users
    return Interactions.from_pairs(users, items, len(counts), max([*counts, 1]))


def comparison(**models: np.ndarray) -> Comparison:
    values = {name: {"ndcg_at_10": torch.from_numpy(each)} for name, each in models.items()}
    return Comparison(np.arange(N_USERS), values, seed=0)


def test_paired_interval_of_the_change_is_narrower_than_those_of_the_models() -> None:
    rng = np.random.default_rng(0)
    champion = rng.random(N_USERS)
    report = comparison(model=champion + 0.02 + 0.01 * rng.random(N_USERS), champion=champion).report()
    assert report["change"]["ndcg_at_10"] == pytest.approx(0.025, abs=0.001)
    low, high = report["intervals"]["change"]["ndcg_at_10"]
    model_low, model_high = report["intervals"]["model"]["ndcg_at_10"]
    assert 0.02 < low < 0.025 < high < 0.03
    assert model_high - model_low > 20 * (high - low)


def test_report_without_a_champion_has_no_change() -> None:
    report = comparison(model=np.ones(N_USERS), popularity=np.zeros(N_USERS)).report()
    assert report.keys() == {"model", "popularity", "intervals"}
    assert report["intervals"]["model"]["ndcg_at_10"] == [1.0, 1.0]


def test_segments_have_the_metrics_of_their_users() -> None:
    counts = [5] * 100 + [20] * 60 + [90] * 40
    values = np.repeat([0.1, 0.2, 0.3], [100, 60, 40])
    found = comparison(model=values).by_segment(segments_of(known(counts)))
    assert {name: each["n_pairs"] for name, each in found.items()} == {"new": 100, "light": 60, "heavy": 40}
    assert [each["model"]["ndcg_at_10"] for each in found.values()] == pytest.approx([0.1, 0.2, 0.3])
    assert [each["known_items"] for each in found.values()] == [[0, 10], [11, 20], [21, 90]]


def test_empty_segment_has_no_metrics() -> None:
    found = comparison(model=np.ones(N_USERS)).by_segment(segments_of(known([30] * N_USERS)))
    assert found["new"] == {"known_items": [0, MAX_NEW_USER_ITEMS], "n_pairs": 0}


@given(st.lists(st.integers(0, 60), min_size=1, max_size=60))
def test_each_user_is_in_one_segment(counts: list[int]) -> None:
    users = np.arange(len(counts))
    found = [each.contains(users) for each in segments_of(known(counts))]
    assert np.sum(found, axis=0).tolist() == [1] * len(counts)
