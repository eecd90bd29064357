"""User-item interactions as compressed sparse rows (CSR)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


class DataError(ValueError):
    """The data cannot be used for training or evaluation; the message names the channel, file or id."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """Distinct user-item pairs in CSR format: U users, I items, P pairs.

    The items of user u, ascending, are `indices[indptr[u]:indptr[u + 1]]`.
    """

    indptr: NDArray[np.int64]  # (U + 1,)
    indices: NDArray[np.int32]  # (P,)
    n_items: int
    times: NDArray[np.int64] | None = None  # (P,), time of each pair in Unix seconds; None: not known

    @classmethod
    def from_pairs(
        cls,
        users: NDArray[np.integer],
        items: NDArray[np.integer],
        n_users: int,
        n_items: int,
        times: NDArray[np.int64] | None = None,
    ) -> Interactions:
        """Interactions from pairs in any order; a repeated pair is kept once, with its newest time.

        Args:
            users: (n,) user indices.
            items: (n,) item indices.
            n_users: U.
            n_items: I.
            times: (n,) Unix seconds, or None.
        """
        keys = users.astype(np.int64) * n_items + items
        if times is None:
            keys = np.unique(keys)
        else:
            order = np.argsort(keys, kind="stable")
            keys = keys[order]
            first = np.flatnonzero(np.diff(keys, prepend=-1))
            times = np.maximum.reduceat(times[order], first) if len(first) else times[:0]
            keys = keys[first]
        counts = np.bincount(keys // n_items, minlength=n_users)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        return cls(indptr, (keys % n_items).astype(np.int32), n_items, times)

    @property
    def n_users(self) -> int:
        return len(self.indptr) - 1

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Number of items per user: (U,)."""
        return np.diff(self.indptr)

    @property
    def users(self) -> NDArray[np.int32]:
        """User of each pair: (P,)."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), self.counts)

    @cached_property
    def recency(self) -> NDArray[np.int32] | None:
        """Number of newer pairs of the same user, per pair: (P,); None if the times are not known."""
        if self.times is None:
            return None
        in_time = np.lexsort((self.indices, self.times, self.users))
        newer = np.repeat(self.indptr[1:], self.counts) - 1 - np.arange(len(self))
        recency = np.empty(len(self), dtype=np.int32)
        recency[in_time] = newer
        return recency

    def of(self, user: int) -> NDArray[np.int32]:
        """Items of one user, ascending."""
        return self.indices[self.indptr[user] : self.indptr[user + 1]]

    def item_counts(self) -> NDArray[np.int64]:
        """Number of users per item: (I,)."""
        return np.bincount(self.indices, minlength=self.n_items)

    def gather(self, users: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """COO indices of the given users (B,): the position of the user in `users`, and the item.

        Returns two arrays of shape (p,), where p is the number of pairs of those users.
        """
        rows, positions = self.gather_positions(users)
        return rows, self.indices[positions]

    def gather_positions(self, users: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """As `gather`, with each pair's position in `indices` instead of its item: (p,) and (p,)."""
        counts = self.counts[users]
        ends = np.cumsum(counts)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
        rows = np.repeat(np.arange(len(users)), counts)
        return rows, self.indptr[users][rows] + within

    def union(self, *others: Interactions) -> Interactions:
        """Pairs of this and of the others, over the same users and items.

        The times are kept only if every operand has them.
        """
        operands = (self, *others)
        users = np.concatenate([each.users for each in operands])
        items = np.concatenate([each.indices for each in operands])
        known = [each.times for each in operands if each.times is not None]
        times = np.concatenate(known) if len(known) == len(operands) else None
        return Interactions.from_pairs(users, items, self.n_users, self.n_items, times)
