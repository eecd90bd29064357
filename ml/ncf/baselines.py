"""What a model must beat: popularity and item-kNN, on the same candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ml.ncf.data import Interactions
from ml.ncf.objectives import gather_rows
from ml.ncf.ranking import Candidates

N_NEIGHBOURS = 200
SHRINKAGE = 10.0  # users in common that a similarity must be supported by before it counts in full
NEIGHBOUR_BLOCK = 512  # items whose neighbours are found at once
USER_BLOCK = 256  # users scored at once
MOST_PRODUCTS = 5e11  # interactions × items: beyond it item-kNN takes longer than training does


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
        by_user = torch.sparse_csr_tensor(
            torch.from_numpy(train.indptr),
            torch.from_numpy(train.indices.astype(np.int64)),
            torch.ones(len(train)),
            size=(train.n_users, train.n_items),
            check_invariants=False,
        )
        by_item = _transposed(train)
        n_neighbours = min(N_NEIGHBOURS, train.n_items - 1)
        neighbours, similarities = [], []
        for block in torch.arange(train.n_items).split(NEIGHBOUR_BLOCK):
            chosen = torch.zeros(train.n_items, len(block))
            chosen[block, torch.arange(len(block))] = 1.0
            common = (by_item @ (by_user @ chosen)).T  # (block, I): users that have both
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
    """Whether item-kNN finishes in minutes on a few cores."""
    return len(train) * train.n_items <= MOST_PRODUCTS


def _transposed(train: Interactions) -> Tensor:
    """Items by users, 1 where a user has the item, as compressed sparse rows: (I, U)."""
    order = np.argsort(train.indices, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(train.item_counts())])
    return torch.sparse_csr_tensor(
        torch.from_numpy(indptr),
        torch.from_numpy(train.users[order].astype(np.int64)),
        torch.ones(len(train)),
        size=(train.n_items, train.n_users),
        check_invariants=False,
    )
