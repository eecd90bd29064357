"""User-item interactions as compressed sparse rows (CSR)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.int64, np.float32)

NEVER = np.iinfo(np.int64).max  # later than any time


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
    weights: NDArray[np.float32] | None = None  # (P,), greatest weight of each pair's events; None: all equal

    @classmethod
    def from_pairs(
        cls,
        users: NDArray[np.integer],
        items: NDArray[np.integer],
        n_users: int,
        n_items: int,
        times: NDArray[np.int64] | None = None,
        *,
        weights: NDArray[np.float32] | None = None,
    ) -> Interactions:
        """Interactions from pairs in any order.

        A repeated pair is kept once, with its newest time and its greatest weight.

        Args:
            users: (n,) user indices.
            items: (n,) item indices.
            n_users: U.
            n_items: I.
            times: (n,) Unix seconds, or None.
            weights: (n,), or None.
        """
        keys = users.astype(np.int64) * n_items + items
        if times is None and weights is None:
            keys = np.unique(keys)
        else:
            order = np.argsort(keys, kind="stable")
            keys = keys[order]
            first = np.flatnonzero(np.diff(keys, prepend=-1))
            times = None if times is None else _greatest(times[order], first)
            weights = None if weights is None else _greatest(weights[order], first)
            keys = keys[first]
        counts = np.bincount(keys // n_items, minlength=n_users)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        return cls(indptr, (keys % n_items).astype(np.int32), n_items, times, weights)

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

    def first_times(self) -> NDArray[np.int64]:
        """Time of the first pair of each item in Unix seconds; `NEVER` for an item without a pair: (I,).

        Raises:
            DataError: the times are not known.
        """
        if self.times is None:
            raise DataError("the times of the pairs are not known")
        first = np.full(self.n_items, NEVER)
        np.minimum.at(first, self.indices, self.times)
        return first

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

    def where(self, kept: NDArray[np.bool_]) -> Interactions:
        """The pairs that a mask (P,) keeps, over the same users and items."""
        counts = np.bincount(self.users[kept], minlength=self.n_users)
        return Interactions(
            np.concatenate([[0], np.cumsum(counts)]),
            self.indices[kept],
            self.n_items,
            None if self.times is None else self.times[kept],
            None if self.weights is None else self.weights[kept],
        )

    def union(self, *others: Interactions) -> Interactions:
        """Pairs of this and of the others, over the same users and items.

        Times and weights are kept only if every operand has them.
        """
        operands = (self, *others)
        users = np.concatenate([each.users for each in operands])
        items = np.concatenate([each.indices for each in operands])
        times = _joined([each.times for each in operands])
        weights = _joined([each.weights for each in operands])
        return Interactions.from_pairs(users, items, self.n_users, self.n_items, times, weights=weights)


def _greatest(values: NDArray[Number], first: NDArray[np.intp]) -> NDArray[Number]:
    """The greatest value of each group, which starts at `first`."""
    return np.maximum.reduceat(values, first) if len(first) else values[:0]


def _joined(parts: Sequence[NDArray[Number] | None]) -> NDArray[Number] | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None
