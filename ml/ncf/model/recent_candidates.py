"""Candidates of the MLP over recent items: the best inner products, and neighbours of the recent items.

The candidates of all users of a request are found at once, in arrays sorted by user and item. The result of a
user does not depend on the other users.

Shapes: B users, R recent items of a user, N neighbours of an item, L = R N, P decays, n pairs of a user and
an item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.ncf.model.base import RankingModel
from ml.ncf.model.item_index import inner_products
from ml.ncf.model.ranked import Ranked

# Weight of the item before: the last item alone, about two, about five and about twenty items.
DECAYS = (0.0, 0.5, 0.8, 0.95)
PER_DECAY = 128  # items by co-visits that are added to the best inner products


@dataclass(frozen=True, eq=False)
class CoVisited:
    """The items that are visited together with the recent items of users.

    Attributes:
        n_items: size of the catalogue.
        keys: (n,) int64, user times `n_items` plus item, ascending.
        places: (n,) place of each pair in an array (B, L).
        sums: (P, B, L), the co-visits Σ_r decay^r strength(recent_r, item) at the places; elsewhere 0.
    """

    n_items: int
    keys: NDArray[np.int64]
    places: NDArray[np.int64]
    sums: NDArray[np.float32]

    @classmethod
    def of(cls, neighbours: Tensor, strengths: Tensor, recent: Tensor) -> CoVisited:
        """Of recent items (B, R), newest first, -1: no more; the others as in `RecentStatistics`."""
        n_items, n_neighbours = neighbours.shape
        shape = len(recent), recent.shape[1] * n_neighbours
        known = recent.clamp(min=0).flatten()
        visited = neighbours.index_select(0, known).view(shape)
        is_known = (visited >= 0) & (recent >= 0).repeat_interleave(n_neighbours, dim=1)
        # The place of a strength is in the low bits of its key, so that one sort orders both.
        n_bits = (shape[1] - 1).bit_length()
        keys = torch.where(is_known, visited, n_items).long().numpy() << n_bits
        keys |= np.arange(shape[1])
        keys.sort(axis=1)
        place, items = torch.from_numpy(keys & ((1 << n_bits) - 1)), keys >> n_bits
        is_first = items < n_items
        is_first[:, 1:] &= items[:, 1:] != items[:, :-1]
        places = np.flatnonzero(is_first)
        sums = torch.zeros(len(DECAYS), shape[0] * shape[1])
        if len(places):
            pair = (torch.from_numpy(is_first).flatten().cumsum(0) - 1).clamp(min=0)
            target = torch.from_numpy(places).index_select(0, pair)  # places of no item have no strength
            strength = (strengths.index_select(0, known).view(shape) * is_known).gather(1, place).flatten()
            for decay, of_decay in zip(DECAYS, sums, strict=True):
                weights = (decay ** torch.arange(recent.shape[1])).float().repeat_interleave(n_neighbours)
                of_decay.scatter_add_(0, target, strength * weights.index_select(0, place.flatten()))
        keys = places // shape[1] * n_items + items.ravel()[places]
        return cls(n_items, keys, places, sums.view(len(DECAYS), *shape).numpy())

    @property
    def rows(self) -> NDArray[np.int64]:
        """Index of the user of each pair (n,)."""
        return self.places // self.sums.shape[2]

    def best(self, n_per_decay: int = PER_DECAY) -> NDArray[np.bool_]:
        """Whether a pair is among the best of its user, by each of `DECAYS`: (n,)."""
        nth = max(0, self.sums.shape[2] - n_per_decay)
        least = np.partition(self.sums, nth, axis=2)[:, :, nth, None]
        is_best = ((self.sums >= least) & (self.sums > 0)).any(axis=0)
        return is_best.ravel()[self.places]

    def of_pairs(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Co-visits of pairs (m,), zeros where the index is -1: (m, P)."""
        found = np.zeros((len(index), len(DECAYS)), dtype=np.float32)
        is_pair = index >= 0
        found[is_pair] = self.sums.reshape(len(DECAYS), -1)[:, self.places[index[is_pair]]].T
        return found

    def find(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of each key among the pairs, -1 if it is none of them."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        place = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[place] == keys, place, -1)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Items of users that the MLP scores, user by user.

    Attributes:
        offsets: (B + 1,), where the items of each user start.
        rows: (n,), index of the user.
        items: (n,).
        products: (n,) float32, inner products, the logits of the base model.
        co_visits: (n, P) float32.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]
    items: NDArray[np.int64]
    products: NDArray[np.float32]
    co_visits: NDArray[np.float32]


def candidates_of(
    model: RankingModel,
    co_visited: CoVisited,
    queries: Tensor,
    found: Sequence[Ranked],
    excluded: Sequence[NDArray],
) -> Candidates:
    """The candidates of users with queries (B, F); the lists are those of `RankingModel.rescored`."""
    n_items = co_visited.n_items
    found_keys, n_found = _keys([items for items, _ in found], n_items)
    found_at = co_visited.find(found_keys)
    is_new = co_visited.best()
    for known in (found_at, co_visited.find(_keys(excluded, n_items)[0])):
        is_new[known[known >= 0]] = False
    new_at = np.flatnonzero(is_new)
    new_rows = co_visited.rows[new_at]
    new_items = co_visited.keys[new_at] - new_rows * n_items
    n_new = np.bincount(new_rows, minlength=len(found))
    new_products = _inner_products(model, queries, new_items, n_new)
    offsets = np.concatenate([[0], np.cumsum(n_found + n_new)])
    rows = np.repeat(np.arange(len(found)), n_found + n_new)
    is_found = np.arange(len(rows)) - offsets[rows] < n_found[rows]
    at, items = np.empty_like(rows), np.empty_like(rows)
    products = np.empty(len(rows), dtype=np.float32)
    at[is_found], at[~is_found] = found_at, new_at
    items[is_found], items[~is_found] = np.concatenate([of_user for of_user, _ in found]), new_items
    products[is_found], products[~is_found] = np.concatenate([each for _, each in found]), new_products
    return Candidates(offsets, rows, items, products, co_visited.of_pairs(at))


def _inner_products(
    model: RankingModel, queries: Tensor, items: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Inner products (n,) of items (n,) that are concatenated user by user, `lengths` (B,) each."""
    is_item = np.arange(lengths.max()) < lengths[:, None]  # (B, longest)
    padded = np.full(is_item.shape, -1)
    padded[is_item] = items
    return inner_products(model, queries, padded)[is_item]


def _keys(lists: Sequence[NDArray], n_items: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys of the items of each user, and their numbers (B,)."""
    lengths = np.array([len(each) for each in lists])
    return np.concatenate(lists) + np.repeat(np.arange(len(lists)) * n_items, lengths), lengths
