from __future__ import annotations

import numpy as np
import pytest
import torch

from ml.ncf.data.interactions import Interactions
from ml.ncf.model.ease import EASE, MAX_ITEMS, EASEConfig
from ml.ncf.model.registry import family_of
from ml.settings.hyperparameters import Hyperparameters

N_USERS, N_ITEMS, L2 = 40, 15, 3.0


def interactions() -> Interactions:
    rng = np.random.default_rng(0)
    users = rng.integers(0, N_USERS - 1, 300)  # the last user has no item
    return Interactions.from_pairs(users, rng.integers(0, N_ITEMS, 300), N_USERS, N_ITEMS)


def fitted() -> EASE:
    model = EASE(EASEConfig(n_users=N_USERS, n_items=N_ITEMS, l2=L2))
    model.fit(interactions())
    return model


def dense() -> torch.Tensor:
    """Interaction matrix X: (U, I)."""
    train = interactions()
    matrix = torch.zeros(N_USERS, N_ITEMS, dtype=torch.float64)
    matrix[train.users, train.indices] = 1.0
    return matrix


def test_each_column_is_the_ridge_regression_of_an_item_on_the_others() -> None:
    weights = fitted().item_weights.double()
    x = dense()
    for item in range(N_ITEMS):
        others = [each for each in range(N_ITEMS) if each != item]
        gram = x[:, others].T @ x[:, others] + L2 * torch.eye(N_ITEMS - 1, dtype=torch.float64)
        expected = torch.linalg.solve(gram, x[:, others].T @ x[:, item])
        assert torch.allclose(weights[others, item], expected, atol=1e-5)
        assert weights[item, item] == 0


def test_catalogue_pair_and_feature_scores_are_equal() -> None:
    model, users = fitted(), torch.arange(N_USERS)
    expected = (dense() @ model.item_weights.double()).float()
    items = torch.arange(N_ITEMS)
    assert torch.allclose(model.score_catalogue(users), expected, atol=1e-5)
    assert torch.allclose(model(users, items.expand(N_USERS, N_ITEMS)), expected, atol=1e-5)
    assert torch.allclose(
        model.cross(model.user_features(users), model.item_features(items)), expected, atol=1e-5
    )


def test_user_without_items_scores_zero() -> None:
    assert torch.equal(fitted().score_catalogue(torch.tensor([N_USERS - 1])), torch.zeros(1, N_ITEMS))


def test_catalogue_above_the_limit_is_refused_with_the_limit() -> None:
    with pytest.raises(ValueError, match=f"^architecture ease supports at most {MAX_ITEMS} items, .* 200000"):
        family_of("ease").from_settings("ease", Hyperparameters(architecture="ease"), 10, 200_000)


def test_solution_that_is_not_finite_is_refused() -> None:
    model = EASE(EASEConfig(n_users=N_USERS, n_items=N_ITEMS, l2=1e-300))
    pairs = np.array([0, 0]), np.array([1, 2])  # without regularization, the matrix is singular
    with pytest.raises(ValueError, match="ease: no solution with ease_l2 1e-300: raise it"):
        model.fit(Interactions.from_pairs(*pairs, N_USERS, N_ITEMS))
    assert not model.item_weights.any()
