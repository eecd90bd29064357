from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.ncf.data.interactions import DataError, Interactions
from ml.ncf.data.sampling import UnseenSampler

N_USERS, N_ITEMS = 5, 12

matrices = st.lists(
    st.sets(st.integers(0, N_ITEMS - 1), max_size=N_ITEMS - 1), min_size=N_USERS, max_size=N_USERS
)


def rows(seen: list[set[int]]) -> Interactions:
    pairs = [(user, item) for user, items in enumerate(seen) for item in items]
    users, items = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Interactions.from_pairs(users, items, N_USERS, N_ITEMS)


@settings(max_examples=200, deadline=None)
@given(matrices)
def test_ranks_enumerate_the_unseen_items_in_order(seen: list[set[int]]) -> None:
    sampler = UnseenSampler(rows(seen))
    for user, items in enumerate(seen):
        unseen = sorted(set(range(N_ITEMS)) - items)
        ranks = np.arange(sampler.n_unseen[user])
        assert sampler.item_at(np.full(len(ranks), user), ranks).tolist() == unseen


@settings(max_examples=50, deadline=None)
@given(matrices, st.integers(0, 2**32))
def test_seen_item_is_never_drawn(seen: list[set[int]], seed: int) -> None:
    drawn = UnseenSampler(rows(seen)).sample(np.arange(N_USERS), 50, np.random.default_rng(seed))
    assert not any(set(drawn[user].tolist()) & seen[user] for user in range(N_USERS))


event_times = st.lists(st.integers(0, 9), min_size=N_ITEMS, max_size=N_ITEMS)
request_times = st.lists(st.integers(0, 9), min_size=N_USERS, max_size=N_USERS)


@settings(max_examples=200, deadline=None)
@given(matrices, event_times, request_times, st.integers(0, 2**32))
def test_draws_at_a_time_are_the_unseen_items_that_exist(
    seen: list[set[int]], first: list[int], times: list[int], seed: int
) -> None:
    sampler, rng = UnseenSampler(rows(seen), np.array(first)), np.random.default_rng(seed)
    users, at = np.arange(N_USERS), np.array(times)
    existing = [{item for item in range(N_ITEMS) if first[item] <= time} for time in times]
    unseen = [each - items for each, items in zip(existing, seen, strict=True)]
    sizes = sampler.n_unseen_at(users, at)
    assert sizes.tolist() == [len(each) for each in unseen]
    assert sampler.n_unseen_at(users).tolist() == [N_ITEMS - len(items) for items in seen]
    distinct = sampler.sample_distinct_up_to(users, N_ITEMS, rng, at)
    for user, size in enumerate(sizes):
        assert sorted(distinct[user, :size].tolist()) == sorted(unseen[user])
    some = users[sizes > 0]
    drawn = sampler.sample(some, 20, rng, at[some])
    assert all(set(row) <= unseen[user] for user, row in zip(some, drawn.tolist(), strict=True))


def test_draws_at_a_time_are_uniform() -> None:
    first = np.array([0, 9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9])
    sampler = UnseenSampler(rows([{0, 3}, set(), set(), set(), set()]), first)
    users = np.zeros(20_000, dtype=np.int64)
    drawn = sampler.sample_distinct(users, 2, np.random.default_rng(7), np.full(len(users), 5))
    shares = np.bincount(drawn.ravel(), minlength=N_ITEMS) / drawn.size
    assert np.abs(shares[[2, 4, 6, 8, 10]] - 1 / 5).max() < 0.01


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_distinct_draws_do_not_repeat(seed: int) -> None:
    sampler = UnseenSampler(rows([{0, 5}, set(), {1}, {2, 3, 4}, {11}]))
    drawn = sampler.sample_distinct(np.arange(N_USERS), 9, np.random.default_rng(seed))
    assert all(len(set(row)) == 9 for row in drawn.tolist())


@pytest.mark.parametrize("method", ["sample", "sample_distinct"])
def test_draws_are_uniform_over_the_unseen_items(method: str) -> None:
    sampler = UnseenSampler(rows([{0, 3, 4, 11}, set(), set(), set(), set()]))
    users = np.zeros(20_000, dtype=np.int64)
    drawn = getattr(sampler, method)(users, 2, np.random.default_rng(7))
    shares = np.bincount(drawn.ravel(), minlength=N_ITEMS) / drawn.size
    assert np.abs(shares[[1, 2, 5, 6, 7, 8, 9, 10]] - 1 / 8).max() < 0.01


def test_user_without_unseen_items_is_named() -> None:
    sampler = UnseenSampler(rows([set(), set(range(N_ITEMS)), set(), set(), set()]), np.arange(N_ITEMS))
    with pytest.raises(DataError, match="user index 1: 0 items"):
        sampler.sample(np.array([0, 1]), 4, np.random.default_rng(0))
    with pytest.raises(DataError, match="user index 2: 3 items"):
        sampler.sample_distinct(np.array([2]), 4, np.random.default_rng(0), np.array([2]))
