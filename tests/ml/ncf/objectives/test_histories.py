"""How new each interaction is, and how histories fade with it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ml.ncf.data.prepared_run import Interactions
from ml.ncf.evaluation.evaluation_set import Candidates
from ml.ncf.objectives.catalogue import whole_histories
from ml.ncf.training import recipe as recipe_module
from ml.ncf.training.recipe import Recipe
from tests.ml.ncf.training.test_runner import SMALL

N_USERS, N_ITEMS = 4, 12
events = st.lists(
    st.tuples(st.integers(0, N_USERS - 1), st.integers(0, N_ITEMS - 1), st.integers(0, 9)), max_size=60
)


def timed(rows: list[tuple[int, int, int]]) -> Interactions:
    users, items, times = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return Interactions.from_pairs(users, items, N_USERS, N_ITEMS, times)


@given(rows=events)
def test_a_repeated_pair_keeps_its_newest_time(rows: list[tuple[int, int, int]]) -> None:
    made = timed(rows)
    newest: dict[tuple[int, int], int] = {}
    for user, item, time in rows:
        newest[user, item] = max(time, newest.get((user, item), 0))
    pairs = zip(made.users.tolist(), made.indices.tolist(), strict=True)
    assert dict(zip(pairs, made.times.tolist(), strict=True)) == newest


@given(rows=events)
def test_recency_counts_the_users_newer_pairs(rows: list[tuple[int, int, int]]) -> None:
    made = timed(rows)
    for user in range(N_USERS):
        own = slice(made.indptr[user], made.indptr[user + 1])
        recency, times = made.recency[own], made.times[own]
        assert sorted(recency) == list(range(len(times)))
        assert (np.diff(times[np.argsort(recency)]) <= 0).all()


@given(first=events, second=events)
def test_a_union_knows_times_where_both_do(
    first: list[tuple[int, int, int]], second: list[tuple[int, int, int]]
) -> None:
    both = timed(first).union(timed(second))
    assert np.array_equal(both.times, timed(first + second).times)
    unknown = replace(timed(second), times=None)
    assert timed(first).union(unknown).times is None


def test_an_item_weighs_half_as_much_after_a_half_life_and_a_pool_weighs_the_same_in_all() -> None:
    train = timed([(0, 5, 30), (0, 2, 10), (0, 7, 20), (1, 3, 5)])
    uniform = whole_histories(train, torch.tensor([0, 1]))
    faded = whole_histories(train, torch.tensor([0, 1]), half_life=1.0)
    by_item = dict(zip(faded.items.tolist(), faded.weights.tolist(), strict=True))
    assert by_item[7] == pytest.approx(by_item[5] / 2)
    assert by_item[2] == pytest.approx(by_item[5] / 4)
    assert by_item[3] == pytest.approx(1.0)
    assert faded.weights[:3].sum().item() == pytest.approx(uniform.weights[:3].sum().item())
    assert torch.allclose(uniform.weights[:3], torch.tensor(3**-0.5))


def test_without_times_nothing_fades() -> None:
    train = replace(timed([(0, 5, 30), (0, 2, 10)]), times=None)
    faded = whole_histories(train, torch.tensor([0]), half_life=1.0)
    assert torch.equal(faded.weights, whole_histories(train, torch.tensor([0])).weights)


def drifting_shop() -> tuple[Interactions, Interactions]:
    """Users who go from one group of items to the next and stay there: the last items tell the next one."""
    rng = np.random.default_rng(1)
    n_users, n_groups, group = 150, 6, 12
    rows = []
    for user in range(n_users):
        first, then = rng.choice(n_groups, 2, replace=False)
        taken = [rng.permutation(group)[:9] + first * group, rng.permutation(group)[:5] + then * group]
        rows += [(user, item, time) for time, item in enumerate(np.concatenate(taken))]
    users, items, times = np.array(rows).T
    newest = times == times.max()
    sizes = (n_users, n_groups * group)
    return (
        Interactions.from_pairs(users[~newest], items[~newest], *sizes, times[~newest]),
        Interactions.from_pairs(users[newest], items[newest], *sizes, times[newest]),
    )


def drifting_recipe() -> Recipe:
    train, held_out = drifting_shop()
    validation = Candidates.sampled(held_out, train.union(held_out), 50, np.random.default_rng(0))
    settings = replace(SMALL, epochs=12, factor_num=16)
    return Recipe(train=train, held_out=held_out, validation=validation, settings=settings)


def test_validation_chooses_how_fast_histories_fade() -> None:
    asked = drifting_recipe()
    trained = asked.run()
    assert trained.best.ndcg > max(epoch.ndcg for epoch in trained.epochs) + 0.02
    timeless = replace(asked, train=replace(asked.train, times=None)).run()
    assert timeless.best.ndcg == max(epoch.ndcg for epoch in timeless.epochs)


def test_a_refit_keeps_the_half_life_that_validation_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = drifting_recipe()
    asked = replace(asked, settings=replace(asked.settings, refit=True))
    faded = asked.run().model
    monkeypatch.setattr(recipe_module, "HALF_LIVES", (math.inf,))
    unfaded = asked.run().model
    users = torch.arange(20)
    assert not torch.allclose(faded.score_catalogue(users), unfaded.score_catalogue(users), atol=0.01)
