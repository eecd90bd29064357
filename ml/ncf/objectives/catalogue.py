"""Catalogue objectives: a batch is a set of users with all their items, scored against many items at once.

`FullCatalogueObjective` scores the whole catalogue. `SampledCatalogueObjective` scores a sample of items that
all users of the batch share, for catalogues or models for which scoring all items is too expensive.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.ncf.data.interactions import Interactions
from ml.ncf.data.sharding import ProcessRank
from ml.ncf.model.base import History, RankingModel
from ml.ncf.objectives import losses
from ml.ncf.objectives.histories import pooled_history

NEGATIVE_POWER = 0.75  # negatives are drawn by popularity to this power (Mikolov et al. 2013, section 2.2)


@dataclass(frozen=True, kw_only=True)
class CatalogueSettings:
    """Settings of a catalogue objective."""

    batch_size: int  # users per step, over all processes
    loss: Literal["softmax", "bce"]
    n_negatives: int = 4  # bce: weight of the negatives relative to a positive
    n_shared: int = 512  # sampled items per batch (SampledCatalogueObjective)
    history_dropout: float | None = None  # probability of leaving an item out of a history; None: no history
    event_weights: bool = False  # whether a positive counts in proportion to the weight of its event


@dataclass(frozen=True)
class UserBatch:
    """B users with their P training items: positive p is item `items[p]` of user `users[rows[p]]`."""

    users: Tensor  # (B,)
    rows: Tensor  # (P,)
    items: Tensor  # (P,)
    history: History | None
    weights: Tensor | None = None  # (P,), with the mean 1 over all positives; None: all equal


class FullCatalogueObjective:
    """Softmax or binary cross-entropy over the logits of all I items."""

    def __init__(self, train: Interactions, settings: CatalogueSettings, rank: ProcessRank) -> None:
        self._train = train
        self._users = np.flatnonzero(train.counts)
        self._settings = settings
        self._rank = rank
        self._weights: NDArray[np.float32] | None = None
        if settings.event_weights and train.weights is not None:
            self._weights = train.weights / train.weights.mean()
        self.n_steps = math.ceil(len(self._users) / settings.batch_size)

    def batches(self, order: np.random.Generator, draws: np.random.Generator) -> Iterator[UserBatch]:
        """Every user with a training item, once per epoch."""
        users = order.permutation(self._users)
        for start in range(0, len(users), self._settings.batch_size):
            yield self._batch(self._rank.shard(users[start : start + self._settings.batch_size]), draws)

    def _batch(self, users: NDArray[np.integer], draws: np.random.Generator) -> UserBatch:
        rows, positions = self._train.gather_positions(users)
        items = self._train.indices[positions]
        history = None
        if self._settings.history_dropout is not None:
            kept = draws.random(len(items), dtype=np.float32) >= self._settings.history_dropout
            history = pooled_history(rows[kept], items[kept], len(users))
        return UserBatch(
            torch.from_numpy(users),
            torch.from_numpy(rows),
            torch.from_numpy(items.astype(np.int64)),
            history,
            None if self._weights is None else torch.from_numpy(self._weights[positions]),
        )

    def loss(self, model: RankingModel, batch: UserBatch) -> tuple[Tensor, int]:
        """Mean over the P positives of the batch."""
        logits = model.score_catalogue(batch.users, batch.history).float()  # (B, I)
        if self._settings.loss == "softmax":
            return losses.catalogue_softmax(logits, batch.rows, batch.items, batch.weights), len(batch.rows)
        loss = losses.catalogue_bce(
            logits, batch.rows, batch.items, self._settings.n_negatives, batch.weights
        )
        return loss, len(batch.rows)


@dataclass(frozen=True)
class SampledUserBatch:
    """A `UserBatch` with K sampled items that all of its users share."""

    positives: UserBatch
    sample: Tensor  # (K,), distinct items
    expected: Tensor  # (K,), expected number of draws over the number of times drawn
    hits: tuple[Tensor, Tensor]  # row and column of the (B, K) logits whose item is a positive of the row


class SampledCatalogueObjective:
    """Estimate of the full-catalogue loss from a sample of items that the batch shares."""

    def __init__(self, train: Interactions, settings: CatalogueSettings, rank: ProcessRank) -> None:
        self._full = FullCatalogueObjective(train, settings, rank)
        self._settings = settings
        power = NEGATIVE_POWER if settings.loss == "softmax" else 0.0
        weights = (train.item_counts() + 1.0) ** power  # + 1: every item can be drawn
        self._expected = settings.n_shared * weights / weights.sum()
        self._cumulative = np.cumsum(weights)
        self._column = np.full(train.n_items, -1, dtype=np.int64)
        self.n_steps = self._full.n_steps

    def batches(self, order: np.random.Generator, draws: np.random.Generator) -> Iterator[SampledUserBatch]:
        """Every user with a training item, once per epoch; a new sample for each batch."""
        for positives in self._full.batches(order, draws):
            at = draws.random(self._settings.n_shared) * self._cumulative[-1]
            drawn = np.searchsorted(self._cumulative, at, side="right").clip(max=len(self._column) - 1)
            sample, times = np.unique(drawn, return_counts=True)
            self._column[sample] = np.arange(len(sample))
            columns = self._column[positives.items.numpy()]
            self._column[sample] = -1
            hits = (positives.rows[columns >= 0], torch.from_numpy(columns[columns >= 0]))
            expected = (self._expected[sample] / times).astype(np.float32)
            yield SampledUserBatch(positives, torch.from_numpy(sample), torch.from_numpy(expected), hits)

    def loss(self, model: RankingModel, batch: SampledUserBatch) -> tuple[Tensor, int]:
        """Mean over the P positives of the batch."""
        positives = batch.positives
        user = model.user_features(positives.users, positives.history)
        # Each distinct item of the batch once: a popular item is a positive of many rows.
        distinct, position = torch.unique(positives.items, return_inverse=True)
        item = model.item_features(distinct)
        positive = model.pairs(
            tuple(features.index_select(0, positives.rows) for features in user),
            tuple(features.index_select(0, position) for features in item),
        ).float()  # (P,)
        negative = model.cross(user, model.item_features(batch.sample)).float()  # (B, K)
        negative = negative.index_put(batch.hits, torch.tensor(-torch.inf))
        n_terms = len(positives.rows)
        if self._settings.loss == "softmax":
            loss = losses.sampled_softmax(
                positive, positives.rows, negative, batch.expected, positives.weights
            )
            return loss, n_terms
        loss = losses.sampled_bce(
            positive,
            positives.rows,
            negative,
            batch.expected,
            n_negatives=self._settings.n_negatives,
            n_items=model.config.n_items,
            weights=positives.weights,
        )
        return loss, n_terms
