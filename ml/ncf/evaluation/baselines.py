"""What a model must beat: popularity and item-kNN, on the same candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.ncf.data.prepared_run import Interactions
from ml.ncf.evaluation.evaluation_set import Candidates
from ml.ncf.objectives.catalogue import gather_rows

N_NEIGHBOURS = 200
SHRINKAGE = 10.0  # users in common that a similarity must be supported by before it counts in full
NEIGHBOUR_BLOCK = 128  # items whose neighbours are found at once
USER_BLOCK = 256  # users scored at once
MOST_PAIRS = 5e9  # pairs of a user's items, and of the catalogue's: beyond it item-kNN outlasts the training


def popularity(train: Interactions, candidates: Candidates) -> Tensor:
    """Train interactions of each candidate: (C, 1 + N)."""
    return torch.from_numpy(train.item_counts())[candidates.items.long()]


@dataclass(frozen=True, eq=False)
class ItemKNN:
    """Item-based nearest neighbours: a candidate scores the sum of its similarities to what the user has.

    Cosine similarity of the items' sets of users (Sarwar et al. 2001, section 3.1.1), shrunk towards none by
    the number of users in common (Bell and Koren 2007, section 4), the N most similar items kept.
    """

    train: Interactions
    neighbours: Tensor  # (I, N) items
    similarities: Tensor  # (I, N)

    @classmethod
    def fit(cls, train: Interactions) -> ItemKNN:
        counts = torch.from_numpy(train.item_counts()).float()
        n_neighbours = min(N_NEIGHBOURS, train.n_items - 1)
        neighbours, similarities = [], []
        for block in torch.arange(train.n_items).split(NEIGHBOUR_BLOCK):
            common = _users_in_common(train, block.numpy())
            similarity = common / (counts[block, None] * counts).sqrt().clamp(min=1.0)
            similarity *= common / (common + SHRINKAGE)
            similarity[torch.arange(len(block)), block] = 0.0
            best = similarity.topk(n_neighbours, dim=1)
            neighbours.append(best.indices)
            similarities.append(best.values)
        return cls(train, torch.cat(neighbours), torch.cat(similarities))

    def scores(self, candidates: Candidates) -> Tensor:
        """Scores of candidates: (C, 1 + N)."""
        parts = []
        for users, items in zip(
            candidates.users.split(USER_BLOCK), candidates.items.long().split(USER_BLOCK), strict=True
        ):
            has = torch.zeros(len(users), self.train.n_items)
            rows, owned = gather_rows(self.train, users.numpy())
            has[torch.from_numpy(rows), torch.from_numpy(owned.astype(np.int64))] = 1.0
            row = torch.arange(len(users))[:, None, None]
            parts.append((self.similarities[items] * has[row, self.neighbours[items]]).sum(-1))
        return torch.cat(parts)


def affordable(train: Interactions) -> bool:
    """Whether item-kNN finishes in a minute or so on a few cores."""
    return int(np.square(train.counts).sum()) + train.n_items**2 <= MOST_PAIRS


def _users_in_common(train: Interactions, items: NDArray[np.int64]) -> Tensor:
    """How many users have each of consecutive items (B,) and each item of the catalogue: (B, I)."""
    has = (train.indices >= items[0]) & (train.indices <= items[-1])
    row_of = train.indices[has] - items[0]
    pairs, others = gather_rows(train, train.users[has])
    keys = row_of[pairs].astype(np.int64) * train.n_items + others
    common = np.bincount(keys, minlength=len(items) * train.n_items)
    return torch.from_numpy(common.reshape(len(items), train.n_items)).float()
