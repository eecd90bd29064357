"""Recency of interactions, and half-lives of the items in a history."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.objectives.histories import HistoryWeights, full_histories
from ml.ncf.training.plan import training_plan
from ml.ncf.training.runner import Trained, run_plan
from ml.ncf.training.training_data import TrainingData
from tests.ml.ncf.training.small import SMALL

N_USERS, N_ITEMS = 4, 12
events = st.lists(
    st.tuples(st.integers(0, N_USERS - 1), st.integers(0, N_ITEMS - 1), st.integers(0, 9)), max_size=60
)


def timed(rows: list[tuple[int, int, int]]) -> Interactions:
    users, items, times = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return Interactions.from_pairs(users, items, N_USERS, N_ITEMS, times)


@given(rows=events)
def test_repeated_pair_keeps_its_newest_time(rows: list[tuple[int, int, int]]) -> None:
    made = timed(rows)
    newest: dict[tuple[int, int], int] = {}
    for user, item, time in rows:
        newest[user, item] = max(time, newest.get((user, item), 0))
    pairs = zip(made.users.tolist(), made.indices.tolist(), strict=True)
    assert dict(zip(pairs, made.times.tolist(), strict=True)) == newest


@given(rows=events)
def test_recency_counts_the_newer_pairs_of_the_user(rows: list[tuple[int, int, int]]) -> None:
    made = timed(rows)
    for user in range(N_USERS):
        own = slice(made.indptr[user], made.indptr[user + 1])
        recency, times = made.recency[own], made.times[own]
        assert sorted(recency) == list(range(len(times)))
        assert (np.diff(times[np.argsort(recency)]) <= 0).all()


@given(first=events, second=events)
def test_union_has_times_if_both_operands_have_them(
    first: list[tuple[int, int, int]], second: list[tuple[int, int, int]]
) -> None:
    both = timed(first).union(timed(second))
    assert np.array_equal(both.times, timed(first + second).times)
    unknown = replace(timed(second), times=None)
    assert timed(first).union(unknown).times is None


def test_weight_halves_per_half_life_and_the_sum_is_unchanged() -> None:
    train = timed([(0, 5, 30), (0, 2, 10), (0, 7, 20), (1, 3, 5)])
    uniform = full_histories(train, torch.tensor([0, 1]))
    decayed = full_histories(train, torch.tensor([0, 1]), HistoryWeights(1.0))
    by_item = dict(zip(decayed.items.tolist(), decayed.weights.tolist(), strict=True))
    assert by_item[7] == pytest.approx(by_item[5] / 2)
    assert by_item[2] == pytest.approx(by_item[5] / 4)
    assert by_item[3] == pytest.approx(1.0)
    assert decayed.weights[:3].sum().item() == pytest.approx(uniform.weights[:3].sum().item())
    assert torch.allclose(uniform.weights[:3], torch.tensor(3**-0.5))


def test_equal_share_is_a_mean_of_decayed_and_equal_weights() -> None:
    train, users = timed([(0, 5, 30), (0, 2, 10), (0, 7, 20), (1, 3, 5)]), torch.tensor([0, 1])
    uniform, decayed, mixed = (
        full_histories(train, users, weights).weights
        for weights in (HistoryWeights(), HistoryWeights(1.0), HistoryWeights(1.0, equal_share=0.25))
    )
    assert torch.allclose(mixed, 0.25 * uniform + 0.75 * decayed)


def test_half_life_has_no_effect_without_times() -> None:
    train = replace(timed([(0, 5, 30), (0, 2, 10)]), times=None)
    decayed = full_histories(train, torch.tensor([0]), HistoryWeights(1.0))
    assert torch.equal(decayed.weights, full_histories(train, torch.tensor([0])).weights)


def drifting_shop() -> tuple[Interactions, Interactions]:
    """Users who change from one group of items to another, so that recent items predict the next one."""
    rng = np.random.default_rng(1)
    n_users, n_groups, group = 150, 6, 12
    rows = []
    for user in range(n_users):
        first, second = rng.choice(n_groups, 2, replace=False)
        chosen = [rng.permutation(group)[:9] + first * group, rng.permutation(group)[:5] + second * group]
        rows += [(user, item, time) for time, item in enumerate(np.concatenate(chosen))]
    users, items, times = np.array(rows).T
    newest = times == times.max()
    sizes = (n_users, n_groups * group)
    return (
        Interactions.from_pairs(users[~newest], items[~newest], *sizes, times[~newest]),
        Interactions.from_pairs(users[newest], items[newest], *sizes, times[newest]),
    )


def train_drifting(*, timed: bool = True, refit: bool = False, **options: object) -> Trained:
    train, held_out = drifting_shop()
    validation = EvaluationSet.sampled(held_out, train.union(held_out), 50, np.random.default_rng(0))
    if not timed:
        train = replace(train, times=None)
    data = TrainingData(train=train, held_out=held_out, validation=validation)
    settings = replace(SMALL, epochs=12, factor_num=16, refit=refit)
    return run_plan(training_plan(settings), data, **options)


def test_validation_selects_the_half_life() -> None:
    trained = train_drifting()
    assert trained.best.ndcg > max(epoch.ndcg for epoch in trained.epochs) + 0.02
    without_times = train_drifting(timed=False)
    assert without_times.best.ndcg == max(epoch.ndcg for epoch in without_times.epochs)


def test_refit_uses_the_selected_half_life() -> None:
    decayed = train_drifting(refit=True).model
    uniform = train_drifting(refit=True, half_lives=(math.inf,)).model
    users = torch.arange(20)
    assert not torch.allclose(decayed.score_catalogue(users), uniform.score_catalogue(users), atol=0.01)
