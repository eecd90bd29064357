"""Evaluation sets of shops with few items, and scores that are not finite."""

from __future__ import annotations

import numpy as np
import pytest
import torch

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


def test_no_user_with_an_unseen_item_is_an_error() -> None:
    with pytest.raises(DataError, match="every user has seen all items"):
        sampled(8, {0: range(12), 1: range(12)})


def small_model() -> RankingModel:
    settings = Hyperparameters(architecture="gmf", factor_num=2)
    model = family_of("gmf").from_settings("gmf", settings, len(SEEN), N_ITEMS)
    model.initialise(np.random.default_rng(0), settings)
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
