"""Sampler of items that a user has not seen: exact, vectorised, memory linear in the interactions.

A user who has seen s of I items has I - s unseen ones. The r-th of them (from 0) is r + j, where j counts the
seen items below it; and the j-th seen item, ascending, has `seen[j] - j` unseen items below it. One binary
search among those numbers maps a uniform r to a uniform unseen item, without rejection.

With the times of the items' first events, items are numbered in that order: those that exist at a time are
the first ones, and a smaller range of r draws from them alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.ncf.data.interactions import DataError, Interactions


class UnseenSampler:
    """Draws unseen items of a user uniformly. Shapes: U users in all, I items, B users in a call.

    Args:
        seen: items that are not drawn.
        first_times: (I,) Unix seconds of the first event of each item, for draws of items that exist at a
            time; None: no such draws.
    """

    def __init__(self, seen: Interactions, first_times: NDArray[np.int64] | None = None) -> None:
        self._in_time: NDArray[np.int64] | None = None
        if first_times is not None:
            self._in_time = np.argsort(first_times, kind="stable")
            self._first_times = first_times[self._in_time]
            number = np.empty_like(self._in_time)
            number[self._in_time] = np.arange(seen.n_items)
            seen = Interactions.from_pairs(seen.users, number[seen.indices], seen.n_users, seen.n_items)
            self._seen_keys = seen.users.astype(np.int64) * (seen.n_items + 1) + seen.indices
        self.n_unseen = seen.n_items - seen.counts  # (U,)
        self._indptr = seen.indptr
        self._stride = seen.n_items + 1
        rank = np.arange(len(seen), dtype=np.int64) - np.repeat(seen.indptr[:-1], seen.counts)
        unseen_below = seen.indices - rank
        # One ascending array for all users: the numbers of user u start at u * stride.
        self._keys = seen.users.astype(np.int64) * self._stride + unseen_below

    def n_unseen_at(
        self, users: NDArray[np.integer], times: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """Number of unseen items of each user (B,): of all, or of those that exist at a time each (B,)."""
        if times is None:
            return self.n_unseen[users]
        n_existing = np.searchsorted(self._first_times, times, side="right")
        keys = users.astype(np.int64) * self._stride + n_existing
        return n_existing - (np.searchsorted(self._seen_keys, keys) - self._indptr[users])

    def item_at(self, users: NDArray[np.integer], rank: NDArray[np.integer]) -> NDArray[np.int64]:
        """Unseen item of each user at a rank in [0, n_unseen): the shape of `users` and `rank`."""
        position = np.searchsorted(self._keys, users.astype(np.int64) * self._stride + rank, side="right")
        number = rank + position - self._indptr[users]
        return number if self._in_time is None else self._in_time[number]

    def sample(
        self,
        users: NDArray[np.integer],
        n: int,
        rng: np.random.Generator,
        times: NDArray[np.int64] | None = None,
    ) -> NDArray[np.int64]:
        """n unseen items for each user, with replacement: (B,) to (B, n).

        Args:
            users: (B,).
            n: draws for each user.
            rng: of the draws.
            times: (B,) Unix seconds at which the drawn items exist; None: at any time.

        Raises:
            DataError: a user has seen every item.
        """
        sizes = self.n_unseen_at(users, times)
        _require(users, sizes, 1)
        rank = rng.integers(0, sizes[:, None], size=(len(users), n))
        return self.item_at(np.broadcast_to(users[:, None], rank.shape), rank)

    def sample_distinct(
        self,
        users: NDArray[np.integer],
        n: int,
        rng: np.random.Generator,
        times: NDArray[np.int64] | None = None,
    ) -> NDArray[np.int64]:
        """n different unseen items for each user: (B,) to (B, n). Arguments as those of `sample`.

        Floyd's algorithm (Bentley and Floyd 1987, "A sample of brilliance"), vectorised over the users.

        Raises:
            DataError: a user has fewer than n unseen items.
        """
        sizes = self.n_unseen_at(users, times)
        _require(users, sizes, n)
        rank = np.empty((len(users), n), dtype=np.int64)
        for step in range(n):
            last = sizes - n + step
            drawn = rng.integers(0, last + 1)
            taken = (rank[:, :step] == drawn[:, None]).any(axis=1)
            rank[:, step] = np.where(taken, last, drawn)
        return self.item_at(np.broadcast_to(users[:, None], rank.shape), rank)

    def sample_distinct_up_to(
        self,
        users: NDArray[np.integer],
        n: int,
        rng: np.random.Generator,
        times: NDArray[np.int64] | None = None,
    ) -> NDArray[np.int64]:
        """As `sample_distinct`; a user with fewer unseen items gets all of them, then zeros: (B, n)."""
        sizes = self.n_unseen_at(users, times)
        is_short = sizes < n
        if not is_short.any():
            return self.sample_distinct(users, n, rng, times)
        items = np.zeros((len(users), n), dtype=np.int64)
        of_others = None if times is None else times[~is_short]
        items[~is_short] = self.sample_distinct(users[~is_short], n, rng, of_others)
        rows, rank = np.nonzero(is_short[:, None] & (np.arange(n) < sizes[:, None]))
        items[rows, rank] = self.item_at(users[rows], rank)
        return items


def _require(users: NDArray[np.integer], sizes: NDArray[np.int64], n: int) -> None:
    """Raise DataError unless each of the users (B,) has at least n unseen items, of `sizes` (B,)."""
    short = sizes < n
    if short.any():
        raise DataError(f"user index {users[short][0]}: {sizes[short][0]} items are unseen, {n} are needed")
