"""Baselines that a model must exceed: popularity and item-kNN, on the same evaluation set.

Shapes: C held-out pairs, N negatives per pair, I items, M neighbours per item, B items or users in a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation.evaluation_set import EvaluationSet

N_NEIGHBOURS = 200
SHRINKAGE = 10.0  # number of common users at which a similarity is halved (Bell and Koren 2007, section 4)
ITEM_BLOCK = 128  # items per block when neighbours are computed
USER_BLOCK = 256  # users per block when scores are computed
MAX_PAIRS = 5e9  # limit of the item pairs of item-kNN: above it, the baseline takes longer than the training


def popularity(train: Interactions, evaluation_set: EvaluationSet) -> Tensor:
    """Number of train interactions of each item of the evaluation set: (C, 1 + N)."""
    counts = torch.from_numpy(train.item_counts()).double()
    return evaluation_set.masked(counts[evaluation_set.items.long()])


@dataclass(frozen=True, eq=False)
class ItemKNN:
    """Item-based nearest neighbours: the score is the sum of the similarities to the items of the user.

    Cosine similarity of the items' sets of users (Sarwar et al. 2001, section 3.1.1), shrunk towards 0 by the
    number of common users (Bell and Koren 2007, section 4); the M most similar items are kept.
    """

    train: Interactions
    neighbours: Tensor  # (I, M) items
    similarities: Tensor  # (I, M)

    @classmethod
    def fit(cls, train: Interactions, item_block: int = ITEM_BLOCK) -> ItemKNN:
        """Compute the neighbours of each item from the training pairs.

        Args:
            train: training pairs.
            item_block: items computed at once; bounds the memory, not the result.
        """
        counts = torch.from_numpy(train.item_counts()).float()
        n_neighbours = min(N_NEIGHBOURS, train.n_items - 1)
        neighbours, similarities = [], []
        for block in torch.arange(train.n_items).split(item_block):
            common = _common_users(train, block.numpy())
            similarity = common / (counts[block, None] * counts).sqrt().clamp(min=1.0)
            similarity *= common / (common + SHRINKAGE)
            similarity[torch.arange(len(block)), block] = 0.0
            best = similarity.topk(n_neighbours, dim=1)
            neighbours.append(best.indices)
            similarities.append(best.values)
        return cls(train, torch.cat(neighbours), torch.cat(similarities))

    def scores(self, evaluation_set: EvaluationSet) -> Tensor:
        """Scores of the evaluation set: (C, 1 + N)."""
        blocks = []
        for users, items in zip(
            evaluation_set.users.split(USER_BLOCK),
            evaluation_set.items.long().split(USER_BLOCK),
            strict=True,
        ):
            has = torch.zeros(len(users), self.train.n_items)
            rows, owned = self.train.gather(users.numpy())
            has[torch.from_numpy(rows), torch.from_numpy(owned.astype(np.int64))] = 1.0
            row = torch.arange(len(users))[:, None, None]
            blocks.append((self.similarities[items] * has[row, self.neighbours[items]]).sum(-1))
        return evaluation_set.masked(torch.cat(blocks))


def is_affordable(train: Interactions, max_pairs: float = MAX_PAIRS) -> bool:
    """Whether item-kNN takes about a minute or less on a few cores."""
    return int(np.square(train.counts).sum()) + train.n_items**2 <= max_pairs


def _common_users(train: Interactions, items: NDArray[np.int64]) -> Tensor:
    """Number of users that have both of two items: consecutive items (B,) against all items, (B, I)."""
    has = (train.indices >= items[0]) & (train.indices <= items[-1])
    row_of = train.indices[has] - items[0]
    pairs, others = train.gather(train.users[has])
    keys = row_of[pairs].astype(np.int64) * train.n_items + others
    common = np.bincount(keys, minlength=len(items) * train.n_items)
    return torch.from_numpy(common.reshape(len(items), train.n_items)).float()
