from __future__ import annotations

import numpy as np
import torch

from ml.ncf.data.interactions import Interactions
from ml.ncf.model.ease import item_weights
from ml.ncf.model.ease_factors import ACTIVITY_POWER, EASEFactors, truncated_svd
from ml.ncf.objectives.histories import full_histories
from ml.settings.hyperparameters import Hyperparameters

N_USERS, N_ITEMS = 40, 25


def interactions() -> Interactions:
    pairs = np.argwhere(
        np.random.default_rng(3).random((N_USERS - 1, N_ITEMS)) < 0.3
    )  # the last user has none
    return Interactions.from_pairs(pairs[:, 0], pairs[:, 1], N_USERS, N_ITEMS)


def dense(train: Interactions) -> torch.Tensor:
    """Interaction matrix X: (U, I)."""
    matrix = torch.zeros(N_USERS, N_ITEMS)
    matrix[train.users, train.indices] = 1.0
    return matrix


def test_all_factors_rank_as_ease_with_weighted_users_does() -> None:
    train, users = interactions(), torch.arange(N_USERS)
    settings = Hyperparameters(ease_factor_num=100, ease_l2=5.0)
    model = EASEFactors.from_settings("gmf-ease", settings, N_USERS, N_ITEMS)
    model.initialise(np.random.default_rng(0), settings)
    model.fit(train)
    folded = model.folded(lambda batch: full_histories(train, batch))
    # A history is divided by the root of its length, which does not change the ranking of a user.
    length = torch.from_numpy(train.counts).clamp(min=1).sqrt().unsqueeze(1)
    expected = dense(train) @ item_weights(train, 5.0, ACTIVITY_POWER)
    assert torch.allclose(folded.score_catalogue(users) * length, expected, atol=1e-4)


def test_rows_of_ease_count_by_a_power_of_their_length() -> None:
    train = interactions()
    weights = (train.counts.clip(min=1) / train.counts.mean()) ** -0.5
    x = dense(train).double()
    gram = (x.T * torch.from_numpy(weights)) @ x
    inverse = torch.linalg.inv(gram + 5.0 * torch.eye(N_ITEMS, dtype=torch.float64))
    expected = torch.eye(N_ITEMS, dtype=torch.float64) - inverse / inverse.diagonal()
    found = item_weights(train, 5.0, 0.5).double()
    assert torch.allclose(found, expected.fill_diagonal_(0.0), atol=1e-5)
    assert not torch.allclose(found, item_weights(train, 5.0).double(), atol=1e-3)


def test_truncated_svd_is_the_best_approximation_of_its_rank() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(60, 60, generator=generator) * torch.logspace(0, -3, 60)
    left, values, right = truncated_svd(matrix, 10, generator)
    expected = torch.linalg.svdvals(matrix)
    assert torch.allclose(values, expected[:10], rtol=1e-3)
    error = torch.linalg.matrix_norm(matrix - left * values @ right.T, ord=2)
    assert error < 1.01 * expected[10]
