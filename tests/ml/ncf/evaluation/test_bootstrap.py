from __future__ import annotations

import numpy as np
import pytest

from ml.ncf.evaluation import bootstrap

N_USERS = 400


def values(seed: int = 0) -> np.ndarray:
    """A column of many different values and one of two: (N_USERS, 2)."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.random(N_USERS), (rng.random(N_USERS) < 0.3).astype(float)], axis=1)


def resampled(
    users: np.ndarray, columns: np.ndarray, n_resamples: int = 4000, *, max_draws: int = bootstrap.MAX_DRAWS
) -> np.ndarray:
    rng = np.random.default_rng(1)
    return bootstrap.resampled_means(users, columns, rng, n_resamples, max_draws=max_draws)


def test_deviation_of_resampled_means_is_the_standard_error() -> None:
    columns = values()
    found = resampled(np.arange(N_USERS), columns).std(axis=0)
    assert found == pytest.approx(columns.std(axis=0) / np.sqrt(N_USERS), rel=0.06)


def test_users_are_resampled_and_not_pairs() -> None:
    columns = values()
    once = resampled(np.arange(N_USERS), columns)
    four_equal_pairs_each = resampled(np.repeat(np.arange(N_USERS), 4), np.repeat(columns, 4, axis=0))
    assert four_equal_pairs_each == pytest.approx(once)


def test_mean_is_over_pairs_where_users_have_different_numbers() -> None:
    users, columns = np.array([0, 1, 1, 1]), np.array([[1.0], [0.0], [0.0], [0.0]])
    assert set(np.unique(resampled(users, columns))) == {0.0, 0.25, 1.0}


def test_order_of_the_pairs_and_size_of_the_blocks_do_not_matter() -> None:
    columns, order = values(), np.random.default_rng(2).permutation(N_USERS)
    expected = resampled(np.arange(N_USERS), columns, 50)
    in_blocks = resampled(order, columns[order], 50, max_draws=3 * N_USERS)
    assert in_blocks == pytest.approx(expected)


def test_interval_leaves_out_equal_tails() -> None:
    assert bootstrap.interval(np.arange(101.0), 0.9) == pytest.approx([5, 95])
