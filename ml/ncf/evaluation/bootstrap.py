"""Bootstrap over users (Efron and Tibshirani 1993, chapter 13): intervals of means, and of their differences.

Users are resampled, not pairs: the pairs of one user are not independent. Users with equal results are
counted, and the counts are drawn from the multinomial distribution. That is the bootstrap itself, and not an
approximation, at a cost that depends on the number of different results: 11 for NDCG@10 of one pair per user.

Shapes: C pairs, U users, M columns, R resamples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95  # of the intervals in reports
N_RESAMPLES = 1000
MAX_DRAWS = 4_000_000  # multinomial counts in memory at once: 32 MB

Values = NDArray[np.float64]


def resampled_means(
    users: NDArray[np.integer],
    values: Values,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
    *,
    max_draws: int = MAX_DRAWS,
) -> Values:
    """Means of the columns over the pairs of resampled users: (R, M).

    Args:
        users: (C,) user of each pair.
        values: (C, M) of each pair.
        rng: of the resamples.
        n_resamples: R.
        max_draws: limit of the counts in memory; does not change the result.
    """
    rows, counts = np.unique(_sums_per_user(users, values), axis=0, return_counts=True)
    share, n_users = counts / counts.sum(), int(counts.sum())
    n_at_once = max(1, max_draws // len(rows))
    sums = np.concatenate(
        [
            rng.multinomial(n_users, share, size=min(n_at_once, n_resamples - start)) @ rows
            for start in range(0, n_resamples, n_at_once)
        ]
    )
    return sums[:, :-1] / sums[:, -1:]


def interval(resampled: Values, confidence: float = CONFIDENCE) -> list[float]:
    """Percentile interval of resampled statistics (R,): lower and upper bound."""
    tail = (1.0 - confidence) / 2.0
    lower, upper = np.quantile(resampled, [tail, 1.0 - tail])
    return [float(lower), float(upper)]


def _sums_per_user(users: NDArray[np.integer], values: Values) -> Values:
    """Sums of the columns over the pairs of each user, then the number of its pairs: (U, M + 1)."""
    _, user = np.unique(users, return_inverse=True)
    n_users = int(user.max()) + 1
    columns = [np.bincount(user, weights=column, minlength=n_users) for column in values.T]
    return np.stack([*columns, np.bincount(user, minlength=n_users)], axis=1)
