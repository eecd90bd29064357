"""Pointwise objective: binary cross-entropy over observed pairs and sampled negatives."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ml.ncf.data.interactions import DataError, Interactions
from ml.ncf.data.sampling import UnseenSampler
from ml.ncf.data.sharding import ProcessRank
from ml.ncf.model.base import RankingModel
from ml.ncf.objectives import losses

SAMPLING_BLOCK = 2**17  # positives whose negatives are drawn in one call: bounds the memory


class PointwiseObjective:
    """Binary cross-entropy of each observed pair and n unseen items of its user.

    The unseen items are drawn anew every epoch (He et al. 2017, section 3.1.1). The pairs of a user who has
    every item are left out: they have no negatives.

    Args:
        train: training pairs.
        batch_size: positive pairs per step, over all processes.
        n_negatives: n, sampled negatives per positive.
        rank: rank and world size of this process, which select its shard of each batch.

    Raises:
        ml.ncf.data.interactions.DataError: no user has an unseen item.
    """

    def __init__(self, train: Interactions, batch_size: int, n_negatives: int, rank: ProcessRank) -> None:
        self._sampler = UnseenSampler(train)
        has_unseen = self._sampler.n_unseen[train.users] > 0
        self._users, self._items = train.users[has_unseen], train.indices[has_unseen]
        if not len(self._users):
            raise DataError("every user has seen all items: there are no negatives")
        self._batch_size = batch_size
        self._n_negatives = n_negatives
        self._rank = rank
        self.n_steps = math.ceil(len(self._users) / batch_size)

    def batches(
        self, order: np.random.Generator, draws: np.random.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Users (B,) and items (B, 1 + n), the positive item first."""
        pairs = order.permutation(len(self._users))
        block = max(1, SAMPLING_BLOCK // self._batch_size) * self._batch_size
        for start in range(0, len(pairs), block):
            shards = [
                self._rank.shard(pairs[at : at + self._batch_size])
                for at in range(start, min(start + block, len(pairs)), self._batch_size)
            ]
            rows = np.concatenate(shards)
            users = self._users[rows]
            negatives = self._sampler.sample(users, self._n_negatives, draws)
            items = np.concatenate([self._items[rows][:, None], negatives], axis=1)
            sizes = [len(shard) for shard in shards]
            yield from zip(
                torch.from_numpy(users).split(sizes), torch.from_numpy(items).split(sizes), strict=True
            )

    def loss(self, model: RankingModel, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
        """Mean over the B (1 + n) pairs of the batch."""
        users, items = batch
        logits = model(users, items).float()  # (B, 1 + n)
        return losses.pointwise_bce(logits[:, 0], logits[:, 1:]), logits.numel()
