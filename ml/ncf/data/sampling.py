"""Sampler of items that a user has not seen: exact, vectorised, memory linear in the interactions.

A user who has seen s of I items has I - s unseen ones. The r-th of them (from 0) is r + j, where j counts the
seen items below it; and the j-th seen item, ascending, has `seen[j] - j` unseen items below it. One binary
search among those numbers maps a uniform r to a uniform unseen item, without rejection.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.ncf.data.interactions import DataError, Interactions


class UnseenSampler:
    """Draws unseen items of a user uniformly. Shapes: U users in all, B users in a call."""

    def __init__(self, seen: Interactions) -> None:
        self.n_unseen = seen.n_items - seen.counts  # (U,)
        self._indptr = seen.indptr
        self._stride = seen.n_items + 1
        rank = np.arange(len(seen), dtype=np.int64) - np.repeat(seen.indptr[:-1], seen.counts)
        unseen_below = seen.indices - rank
        # One ascending array for all users: the numbers of user u start at u * stride.
        self._keys = seen.users.astype(np.int64) * self._stride + unseen_below

    def require(self, users: NDArray[np.integer], n: int) -> None:
        """Raise DataError unless each of the users (B,) has at least n unseen items."""
        short = self.n_unseen[users] < n
        if short.any():
            user = int(users[short][0])
            raise DataError(f"user index {user}: {self.n_unseen[user]} items are unseen, {n} are needed")

    def item_at(self, users: NDArray[np.integer], rank: NDArray[np.integer]) -> NDArray[np.int64]:
        """Unseen item of each user at a rank in [0, n_unseen): the shape of `users` and `rank`."""
        position = np.searchsorted(self._keys, users.astype(np.int64) * self._stride + rank, side="right")
        return rank + position - self._indptr[users]

    def sample(self, users: NDArray[np.integer], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """n unseen items for each user, with replacement: (B,) to (B, n).

        Raises:
            DataError: a user has seen every item.
        """
        self.require(users, 1)
        rank = rng.integers(0, self.n_unseen[users][:, None], size=(len(users), n))
        return self.item_at(np.broadcast_to(users[:, None], rank.shape), rank)

    def sample_distinct(
        self, users: NDArray[np.integer], n: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """n different unseen items for each user: (B,) to (B, n).

        Floyd's algorithm (Bentley and Floyd 1987, "A sample of brilliance"), vectorised over the users.

        Raises:
            DataError: a user has fewer than n unseen items.
        """
        self.require(users, n)
        sizes = self.n_unseen[users]
        rank = np.empty((len(users), n), dtype=np.int64)
        for step in range(n):
            last = sizes - n + step
            drawn = rng.integers(0, last + 1)
            taken = (rank[:, :step] == drawn[:, None]).any(axis=1)
            rank[:, step] = np.where(taken, last, drawn)
        return self.item_at(np.broadcast_to(users[:, None], rank.shape), rank)

    def sample_distinct_up_to(
        self, users: NDArray[np.integer], n: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """As `sample_distinct`; a user with fewer unseen items gets all of them, then zeros: (B, n)."""
        sizes = self.n_unseen[users]
        is_short = sizes < n
        if not is_short.any():
            return self.sample_distinct(users, n, rng)
        items = np.zeros((len(users), n), dtype=np.int64)
        items[~is_short] = self.sample_distinct(users[~is_short], n, rng)
        rows, rank = np.nonzero(is_short[:, None] & (np.arange(n) < sizes[:, None]))
        items[rows, rank] = self.item_at(users[rows], rank)
        return items
