"""Evaluation sets of shops with few items, and scores that are not finite."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.ncf.data.interactions import DataError, Interactions
from ml.ncf.evaluation import baselines, metrics
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.model.base import RankingModel
from ml.ncf.model.finite import NotFiniteError
from ml.ncf.model.registry import family_of
from ml.settings.hyperparameters import Hyperparameters

N_ITEMS = 12
SEEN = {0: range(2), 1: range(9), 2: range(12), 3: range(4)}  # items of each user; the first is held out


def interactions(items_of: dict[int, range], n_items: int = N_ITEMS) -> Interactions:
    pairs = np.array([(user, item) for user, items in items_of.items() for item in items])
    return Interactions.from_pairs(pairs[:, 0], pairs[:, 1], len(items_of), n_items)


def sampled(n_negatives: int, seen: dict[int, range] = SEEN) -> EvaluationSet:
    held_out = interactions({user: range(1) for user in seen})
    return EvaluationSet.sampled(held_out, interactions(seen), n_negatives, np.random.default_rng(0))


def test_user_with_few_unseen_items_is_ranked_among_all_of_them() -> None:
    found = sampled(8)
    assert found.users.tolist() == [0, 1, 3]  # user 2 has seen everything
    assert (found.n_left_out, found.n_with_fewer_negatives, found.fewest_negatives) == (1, 1, 3)
    assert sorted(found.items[1, 1:4].tolist()) == [9, 10, 11]
    assert len(set(found.items[0, 1:].tolist())) == 8
    assert set(found.items[2].tolist()) <= {0, *range(4, 12)}


def test_columns_that_are_not_ranked_do_not_change_the_rank() -> None:
    found = sampled(8)
    scores = torch.zeros(3, 9)
    scores[:, 0] = torch.tensor([1.0, -1.0, 1.0])  # user 1: behind its three negatives
    assert metrics.rank_of_first(found.masked(scores)).tolist() == [0, 3, 0]
    popularity = baselines.popularity(interactions(SEEN), found)
    assert torch.isinf(popularity).sum(1).tolist() == [0, 5, 0]


def test_users_with_enough_unseen_items_get_the_negatives_of_a_set_without_the_others() -> None:
    assert sampled(8).items[[0, 2]].tolist() == sampled(8, {0: SEEN[0], 1: SEEN[3]}).items.tolist()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, N_ITEMS - 1), min_size=6, max_size=40),
    st.lists(st.integers(0, 20), min_size=40, max_size=40),
    st.integers(0, 2**32),
)
def test_no_negative_is_newer_than_its_row(items: list[int], times: list[int], seed: int) -> None:
    n_users = 6
    users = np.arange(len(items)) % n_users
    pairs = Interactions.from_pairs(users, np.array(items), n_users, N_ITEMS, np.array(times[: len(items)]))
    assert pairs.recency is not None
    assert pairs.times is not None
    newest, first = pairs.where(pairs.recency == 0), pairs.first_times()
    existing = [
        sum(first[item] <= time for item in range(N_ITEMS) if item not in pairs.of(user))
        for user, time in enumerate(newest.times)
    ]
    if not any(existing):
        with pytest.raises(DataError, match="nothing is left to rank"):
            EvaluationSet.sampled(newest, pairs, 8, np.random.default_rng(seed), existing_only=True)
        return
    found = EvaluationSet.sampled(newest, pairs, 8, np.random.default_rng(seed), existing_only=True)
    assert found.users.tolist() == [user for user in range(n_users) if existing[user]]
    for row, user in enumerate(found.users.tolist()):
        count = 8 if found.n_negatives is None else int(found.n_negatives[row])
        negatives = found.items[row, 1 : 1 + count].numpy()
        assert count == min(8, existing[user]) == len(set(negatives.tolist()))
        assert (first[negatives] <= newest.times[user]).all()
        assert not np.isin(negatives, pairs.of(user)).any()


def test_negatives_that_exist_need_times() -> None:
    with pytest.raises(DataError, match="times of the pairs are not known"):
        EvaluationSet.sampled(
            interactions({0: range(1)}),
            interactions({0: range(2)}),
            3,
            np.random.default_rng(0),
            existing_only=True,
        )


def test_no_user_with_an_unseen_item_is_an_error() -> None:
    with pytest.raises(DataError, match="every user has seen all items"):
        sampled(8, {0: range(12), 1: range(12)})


def small_model() -> RankingModel:
    options = Hyperparameters(architecture="gmf", factor_num=2)
    model = family_of("gmf").from_settings("gmf", options, len(SEEN), N_ITEMS)
    model.initialise(np.random.default_rng(0), options)
    return model


def test_scores_of_a_model_are_finite_in_the_ranked_columns_only() -> None:
    assert torch.isfinite(sampled(8).scores(small_model())).sum(1).tolist() == [9, 4, 9]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_score_that_is_not_finite_is_refused(bad: float) -> None:
    model = small_model()
    assert torch.isfinite(sampled(3).scores(model)).all()
    with torch.no_grad():
        model.gmf.item_embedding.weight[11] = bad
    with pytest.raises(NotFiniteError, match="of 12 scores are not finite"):
        sampled(3).scores(model)
