from __future__ import annotations

import numpy as np
import torch

from ml.ncf.data.interactions import Interactions
from ml.ncf.model.ease import EASE, EASEConfig
from ml.ncf.model.ease_factors import EASEFactors, truncated_svd
from ml.ncf.objectives.histories import full_histories
from ml.settings.hyperparameters import Hyperparameters

N_USERS, N_ITEMS = 40, 25


def interactions() -> Interactions:
    pairs = np.argwhere(
        np.random.default_rng(3).random((N_USERS - 1, N_ITEMS)) < 0.3
    )  # the last user has none
    return Interactions.from_pairs(pairs[:, 0], pairs[:, 1], N_USERS, N_ITEMS)


def test_all_factors_rank_as_ease_does() -> None:
    train, users = interactions(), torch.arange(N_USERS)
    exact = EASE(EASEConfig(n_users=N_USERS, n_items=N_ITEMS, l2=5.0))
    exact.fit(train)
    settings = Hyperparameters(ease_factor_num=100, ease_l2=5.0)
    model = EASEFactors.from_settings("gmf-ease", settings, N_USERS, N_ITEMS)
    model.initialise(np.random.default_rng(0), settings)
    model.fit(train)
    folded = model.folded(lambda batch: full_histories(train, batch))
    # A history is divided by the root of its length, which does not change the ranking of a user.
    length = torch.from_numpy(train.counts).clamp(min=1).sqrt().unsqueeze(1)
    assert torch.allclose(folded.score_catalogue(users) * length, exact.score_catalogue(users), atol=1e-4)


def test_truncated_svd_is_the_best_approximation_of_its_rank() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(60, 60, generator=generator) * torch.logspace(0, -3, 60)
    left, values, right = truncated_svd(matrix, 10, generator)
    expected = torch.linalg.svdvals(matrix)
    assert torch.allclose(values, expected[:10], rtol=1e-3)
    error = torch.linalg.matrix_norm(matrix - left * values @ right.T, ord=2)
    assert error < 1.01 * expected[10]
