"""How an epoch is cut into steps, and what each step minimises. No work is done a row in Python."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.ncf import losses
from ml.ncf.data import Interactions
from ml.ncf.model import NCF
from ml.ncf.sampling import UnseenSampler

Batch = tuple[Tensor, ...]

SAMPLING_BLOCK = 2**17  # positives whose negatives are drawn at once: bounds memory, amortises the call


class Objective(Protocol):
    """Yields an epoch's batches and says what one of them costs."""

    n_steps: int  # a epoch

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]: ...

    def loss(self, model: NCF, batch: Batch) -> Tensor: ...


class SampledBCE:
    """The paper's objective: each observed pair and n fresh unseen items of its user, every epoch."""

    def __init__(self, train: Interactions, batch_size: int, n_negatives: int) -> None:
        self._users = train.users
        self._items = train.indices
        self._sampler = UnseenSampler(train)
        self._sampler.require(np.unique(self._users), 1)
        self._batch_size = batch_size
        self._n_negatives = n_negatives
        self.n_steps = math.ceil(len(train) / batch_size)

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        order = rng.permutation(len(self._users))
        block = math.ceil(SAMPLING_BLOCK / self._batch_size) * self._batch_size
        for start in range(0, len(order), block):
            rows = order[start : start + block]
            users = self._users[rows]
            negatives = self._sampler.sample(users, self._n_negatives, rng)
            items = np.concatenate([self._items[rows][:, None], negatives], axis=1)
            yield from zip(
                torch.from_numpy(users).split(self._batch_size),
                torch.from_numpy(items).split(self._batch_size),
                strict=True,
            )

    def loss(self, model: NCF, batch: Batch) -> Tensor:
        users, items = batch
        logits = model(users, items).float()  # (B, 1 + n), the positive first
        return losses.pointwise_bce(logits[:, 0], logits[:, 1:])


class CatalogueSoftmax:
    """A softmax over the whole catalogue: a batch is a set of users with everything that they have."""

    def __init__(self, train: Interactions, batch_size: int) -> None:
        self._train = train
        self._users = np.flatnonzero(train.counts)
        self._batch_size = batch_size
        self.n_steps = math.ceil(len(self._users) / batch_size)

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        order = rng.permutation(self._users)
        for start in range(0, len(order), self._batch_size):
            yield self._rows(order[start : start + self._batch_size])

    def _rows(self, users: NDArray[np.int64]) -> Batch:
        counts = self._train.counts[users]
        ends = np.cumsum(counts)
        within = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
        items = self._train.indices[np.repeat(self._train.indptr[users], counts) + within].astype(np.int64)
        rows = np.repeat(np.arange(len(users)), counts)
        return torch.from_numpy(users), torch.from_numpy(rows), torch.from_numpy(items)

    def loss(self, model: NCF, batch: Batch) -> Tensor:
        users, rows, items = batch
        return losses.catalogue_softmax(model.score_catalogue(users).float(), rows, items)
