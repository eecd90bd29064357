"""Histories of users: the items that a model with `history` pools into the input vector of a user."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.ncf.data.interactions import Interactions
from ml.ncf.model.base import History


@dataclass(frozen=True)
class HistoryWeights:
    """Relative weights of the items of a history, by the number of newer items of the same user.

    Preferences drift (Koren 2009, "Collaborative filtering with temporal dynamics"); age is counted in items
    because users differ in pace.

    Attributes:
        half_life: number of newer items after which an item weighs half as much; infinite: equal weights.
        equal_share: part of the sum of the weights that all items share equally, for preferences that last.
    """

    half_life: float = math.inf
    equal_share: float = 0.0

    def of(
        self, newer: NDArray[np.integer], rows: NDArray[np.int64], n_users: int
    ) -> NDArray[np.floating] | None:
        """Weights (p,) of items with numbers of newer items (p,), of users (p,); None: all equal."""
        if math.isinf(self.half_life):
            return None
        decayed = np.exp2(-newer / self.half_life)
        if not self.equal_share:
            return decayed
        decayed /= np.bincount(rows, decayed, minlength=n_users)[rows]
        return (1 - self.equal_share) * decayed + self.equal_share / np.bincount(rows, minlength=n_users)[
            rows
        ]


EQUAL_WEIGHTS = HistoryWeights()


def pooled_history(
    rows: NDArray[np.int64],
    items: NDArray[np.int32],
    n_users: int,
    relevance: NDArray[np.floating] | None = None,
) -> History:
    """Histories of a batch of users from COO indices.

    Args:
        rows: (p,) position of each pair's user in the batch, ascending.
        items: (p,) item of each pair.
        n_users: B, the number of users in the batch.
        relevance: (p,) relative weights of the items within a history; None: equal.

    Each item weighs |history|^-1/2 (Koren 2008, equation 15). With `relevance` the weights of a history are
    proportional to it, and have the same sum.
    """
    counts = np.bincount(rows, minlength=n_users)
    weights = 1.0 / np.sqrt(np.maximum(counts, 1))[rows]
    if relevance is not None:
        weights *= relevance / np.bincount(rows, relevance, minlength=n_users)[rows] * counts[rows]
    offsets = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return History(
        torch.from_numpy(items.astype(np.int64)),
        torch.from_numpy(offsets),
        torch.from_numpy(weights.astype(np.float32)),
    )


def full_histories(train: Interactions, users: Tensor, weights: HistoryWeights = EQUAL_WEIGHTS) -> History:
    """Complete training histories of users (B,), without dropout: the input of a trained model.

    Args:
        train: training pairs.
        users: (B,) user indices.
        weights: of the items of a history; ignored if the times are not known.
    """
    rows, positions = train.gather_positions(users.numpy())
    relevance = None
    if train.recency is not None:
        relevance = weights.of(train.recency[positions], rows, len(users))
    return pooled_history(rows, train.indices[positions], len(users), relevance)
