"""How an epoch is cut into steps, and what each step minimises. No work is done a row in Python.

An epoch goes over an order that all processes share; each takes its part of every batch. What a process draws
for its own part (negatives, dropout) comes from a generator of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.ncf.data.prepared_run import Interactions
from ml.ncf.data.sampling import UnseenSampler
from ml.ncf.model.ncf import NCF, History
from ml.ncf.objectives import losses

SAMPLING_BLOCK = 2**17  # positives whose negatives are drawn at once: bounds memory, amortises the call
NEGATIVE_POWER = 0.75  # negatives are drawn by popularity to this power (Mikolov et al. 2013, section 2.2)


@dataclass(frozen=True)
class Share:
    """Which part of every batch this process takes."""

    rank: int = 0
    n_processes: int = 1

    def of(self, batch: NDArray[np.integer]) -> NDArray[np.integer]:
        """This process's part; every process gets one, so a batch that does not divide wraps around."""
        wanted = math.ceil(len(batch) / self.n_processes) * self.n_processes
        return np.resize(batch, wanted)[self.rank :: self.n_processes]


class Objective(Protocol):
    """Yields a process's batches of an epoch, and says what one costs."""

    n_steps: int  # an epoch

    def batches(self, order: np.random.Generator, draws: np.random.Generator) -> Iterator[Any]: ...

    def loss(self, model: NCF, batch: Any) -> tuple[Tensor, int]:
        """The mean loss of a batch, and over how many terms."""
        ...


class SampledBCE:
    """The paper's objective: each observed pair and n fresh unseen items of its user, every epoch."""

    def __init__(self, train: Interactions, batch_size: int, n_negatives: int, share: Share) -> None:
        self._users = train.users
        self._items = train.indices
        self._sampler = UnseenSampler(train)
        self._sampler.require(np.unique(self._users), 1)
        self._batch_size = batch_size
        self._n_negatives = n_negatives
        self._share = share
        self.n_steps = math.ceil(len(train) / batch_size)

    def batches(
        self, order: np.random.Generator, draws: np.random.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        pairs = order.permutation(len(self._users))
        block = max(1, SAMPLING_BLOCK // self._batch_size) * self._batch_size
        for start in range(0, len(pairs), block):
            parts = [
                self._share.of(pairs[at : at + self._batch_size])
                for at in range(start, min(start + block, len(pairs)), self._batch_size)
            ]
            rows = np.concatenate(parts)
            users = self._users[rows]
            negatives = self._sampler.sample(users, self._n_negatives, draws)
            items = np.concatenate([self._items[rows][:, None], negatives], axis=1)
            sizes = [len(part) for part in parts]
            yield from zip(
                torch.from_numpy(users).split(sizes), torch.from_numpy(items).split(sizes), strict=True
            )

    def loss(self, model: NCF, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
        users, items = batch
        logits = model(users, items).float()  # (B, 1 + n), the positive first
        return losses.pointwise_bce(logits[:, 0], logits[:, 1:]), logits.numel()


@dataclass(frozen=True)
class Rows:
    """Users with all their training items: positive p is item `items[p]` of user `users[rows[p]]`."""

    users: Tensor  # (B,)
    rows: Tensor  # (P,)
    items: Tensor  # (P,)
    history: History | None


@dataclass(frozen=True, kw_only=True)
class RowSettings:
    """What an objective over whole users needs beside the data."""

    batch_size: int  # users a step, over all processes
    loss: Literal["softmax", "bce"]
    n_negatives: int = 4  # a positive, in weight (bce)
    n_shared: int = 512  # sampled items a batch (sampled catalogues)
    history_dropout: float | None = None  # share of a history that a step leaves out; None: no histories


class CatalogueRows:
    """The whole catalogue for every user: a batch is a set of users with everything that they have."""

    def __init__(self, train: Interactions, settings: RowSettings, share: Share) -> None:
        self._train = train
        self._users = np.flatnonzero(train.counts)
        self._settings = settings
        self._share = share
        self.n_steps = math.ceil(len(self._users) / settings.batch_size)

    def batches(self, order: np.random.Generator, draws: np.random.Generator) -> Iterator[Rows]:
        users = order.permutation(self._users)
        for start in range(0, len(users), self._settings.batch_size):
            yield self._rows(self._share.of(users[start : start + self._settings.batch_size]), draws)

    def _rows(self, users: NDArray[np.integer], draws: np.random.Generator) -> Rows:
        rows, items = gather_rows(self._train, users)
        history = None
        if self._settings.history_dropout is not None:
            kept = draws.random(len(items), dtype=np.float32) >= self._settings.history_dropout
            history = pooled_history(rows[kept], items[kept], len(users))
        return Rows(
            torch.from_numpy(users), torch.from_numpy(rows), torch.from_numpy(items.astype(np.int64)), history
        )

    def loss(self, model: NCF, batch: Rows) -> tuple[Tensor, int]:
        logits = model.score_catalogue(batch.users, batch.history).float()
        if self._settings.loss == "softmax":
            return losses.catalogue_softmax(logits, batch.rows, batch.items), len(batch.rows)
        loss = losses.catalogue_bce(logits, batch.rows, batch.items, self._settings.n_negatives)
        return loss, len(batch.rows)


@dataclass(frozen=True)
class SampledRows:
    """Rows with a sample of the catalogue that all of them share."""

    rows: Rows
    sample: Tensor  # (K,), distinct items
    expected: Tensor  # (K,), expected number of draws over how often each was drawn
    hits: tuple[Tensor, Tensor]  # row and column of the (B, K) logits where the item is a positive of the row


class SampledCatalogueRows:
    """The same where the catalogue is too large: its other items are a sample that the batch shares."""

    def __init__(self, train: Interactions, settings: RowSettings, share: Share) -> None:
        self._whole = CatalogueRows(train, settings, share)
        self._settings = settings
        power = NEGATIVE_POWER if settings.loss == "softmax" else 0.0
        weights = (train.item_counts() + 1.0) ** power  # + 1: every item can be drawn
        self._expected = settings.n_shared * weights / weights.sum()
        self._cumulative = np.cumsum(weights)
        self._column = np.full(train.n_items, -1, dtype=np.int64)
        self.n_steps = self._whole.n_steps

    def batches(self, order: np.random.Generator, draws: np.random.Generator) -> Iterator[SampledRows]:
        for rows in self._whole.batches(order, draws):
            at = draws.random(self._settings.n_shared) * self._cumulative[-1]
            drawn = np.searchsorted(self._cumulative, at, side="right").clip(max=len(self._column) - 1)
            sample, times = np.unique(drawn, return_counts=True)
            self._column[sample] = np.arange(len(sample))
            columns = self._column[rows.items.numpy()]
            self._column[sample] = -1
            hits = (rows.rows[columns >= 0], torch.from_numpy(columns[columns >= 0]))
            expected = (self._expected[sample] / times).astype(np.float32)
            yield SampledRows(rows, torch.from_numpy(sample), torch.from_numpy(expected), hits)

    def loss(self, model: NCF, batch: SampledRows) -> tuple[Tensor, int]:
        rows = batch.rows
        user = model.user_features(rows.users, rows.history)
        # The items of the batch, each once: a popular item is a positive of many rows.
        distinct, position = torch.unique(rows.items, return_inverse=True)
        item = model.item_features(distinct)
        positive = model.pairs(
            tuple(features.index_select(0, rows.rows) for features in user),
            tuple(features.index_select(0, position) for features in item),
        ).float()
        negative = model.cross(user, model.item_features(batch.sample)).float()
        negative = negative.index_put(batch.hits, torch.tensor(-torch.inf))
        if self._settings.loss == "softmax":
            return losses.sampled_softmax(positive, rows.rows, negative, batch.expected), len(rows.rows)
        loss = losses.sampled_bce(
            positive,
            rows.rows,
            negative,
            batch.expected,
            n_negatives=self._settings.n_negatives,
            n_items=model.config.n_items,
        )
        return loss, len(rows.rows)


def gather_rows(
    train: Interactions, users: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The items of users (B,), end to end, and which of the users each belongs to: (P,) and (P,)."""
    rows, positions = gather_positions(train, users)
    return rows, train.indices[positions]


def gather_positions(
    train: Interactions, users: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As `gather_rows`, but for where each item stands among the training pairs: (P,) and (P,)."""
    counts = train.counts[users]
    ends = np.cumsum(counts)
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
    rows = np.repeat(np.arange(len(users)), counts)
    return rows, train.indptr[users][rows] + within


def pooled_history(
    rows: NDArray[np.int64],
    items: NDArray[np.int32],
    n_users: int,
    relevance: NDArray[np.floating] | None = None,
) -> History:
    """The histories of a batch from its pairs, sorted by row.

    A pool is scaled by |history|^-1/2; with a relevance (P,) its items weigh in proportion to it, and as much
    in all.
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


def whole_histories(train: Interactions, users: Tensor, half_life: float = math.inf) -> History:
    """What the users (B,) have in training, all of it: what a trained model is used with.

    Args:
        half_life: after how many newer items of its user an item weighs half as much. Tastes drift: a decay
            by age, after Koren 2009 ("Collaborative filtering with temporal dynamics"); age is counted in
            items, since users differ in pace. Without effect where no times are known.
    """
    rows, positions = gather_positions(train, users.numpy())
    relevance = None
    if train.recency is not None and math.isfinite(half_life):
        relevance = np.exp2(-train.recency[positions] / half_life)
    return pooled_history(rows, train.indices[positions], len(users), relevance)
