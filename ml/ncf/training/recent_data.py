"""Data of the MLP over recent items (`ml.ncf.model.recent`): statistics, samples and their inputs.

The newest pairs of each user in the train split are withheld from the base model (`without_newest`). Each of
them is one sample: the pair among items that the user does not have, with the user as they were before it,
both in the history that the base model pools and in the recent items.

Shapes: S samples, n negatives, P pairs, U users, I items, N neighbours, R recent items, F inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.ncf.data.interactions import Interactions
from ml.ncf.data.sampling import UnseenSampler
from ml.ncf.model.ncf import NCF
from ml.ncf.model.recent import N_NEIGHBOURS, N_RECENT, RecentNCF
from ml.ncf.model.recent_statistics import GAP_PLACES, RecentStatistics, log_count
from ml.ncf.objectives.histories import HistoryWeights, pooled_history

WITHHELD_PART = 4  # of a user's pairs at most one in four is withheld
MAX_SAMPLES = 50_000  # many times the weights of the MLP
N_NEGATIVES = 49
SCORING_BATCH = 1024  # samples whose inputs are computed at once
WINDOW = 10  # pairs of a user that are visited together: at most so many places apart
MAX_VISITS = 2_000_000  # pairs from which co-visits are counted: about 1 GiB of memory
POPULARITY_PRIOR = 5.0  # users added to an item's number: a rare item has no strong neighbours
NEWEST_PART = 0.1  # of all pairs: the end of the training


@dataclass(frozen=True, eq=False)
class Samples:
    """Withheld pairs, each among negatives: the pair is the first item of its row."""

    users: NDArray[np.int64]  # (S,)
    items: NDArray[np.int64]  # (S, 1 + n)
    n_before: NDArray[np.int64]  # (S,), number of older pairs of the user


@dataclass(frozen=True, eq=False)
class Part:
    """A trained GMF part that still reads histories, with what validation selected for it."""

    model: NCF
    history: HistoryWeights
    blend_weight: float


def without_newest(train: Interactions, n_newest: int) -> tuple[Interactions, NDArray[np.bool_]]:
    """The pairs without the newest of each user, and which pairs those are: (P,).

    Args:
        train: pairs with times.
        n_newest: withheld pairs of a user, if they are at most one in `WITHHELD_PART`.

    Raises:
        ValueError: the times are not known.
    """
    if train.recency is None or train.times is None:
        raise ValueError("the times of the pairs are not known")
    limit = np.minimum(n_newest, train.counts // WITHHELD_PART)
    withheld = train.recency < np.repeat(limit, train.counts)
    return train.where(~withheld), withheld


def statistics_of(pairs: Interactions, counted: Interactions, rng: np.random.Generator) -> RecentStatistics:
    """The statistics of a model: recent items of `pairs`, everything else from `counted`.

    Args:
        pairs: with times; all that is known of the users.
        counted: with times; the pairs that the base model was trained on.
        rng: of the users whose co-visits are counted, if there are many pairs.
    """
    neighbours, strengths = co_visits(counted, rng)
    items, starts = _by_age(pairs)
    ages = np.arange(N_RECENT)
    place = starts[1:, None] - 1 - ages
    recent = np.where(ages < pairs.counts[:, None], items[np.maximum(place, 0)], -1)
    assert counted.times is not None  # noqa: S101 -- `without_newest` has checked
    is_new = counted.times >= np.quantile(counted.times, 1 - NEWEST_PART)
    counts = [counted.item_counts(), np.bincount(counted.indices[is_new], minlength=counted.n_items)]
    return RecentStatistics(
        neighbours=torch.from_numpy(neighbours),
        strengths=torch.from_numpy(strengths),
        recent=torch.from_numpy(recent.astype(np.int32)),
        item_counts=log_count(torch.from_numpy(np.stack(counts, axis=1))),
        user_counts=log_count(torch.from_numpy(pairs.counts)),
        gaps=gaps_before(pairs, np.arange(pairs.n_users), pairs.counts),
    )


def co_visits(pairs: Interactions, rng: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The strongest neighbours of each item, and their strengths: (I, N) and (I, N).

    Two items of a user that are d places apart in time count 1 / d, in both directions. The strength of
    neighbour j is the sum over the users, over (users of j + `POPULARITY_PRIOR`)^1/2.
    """
    n_items = pairs.n_items
    items, _ = _by_age(pairs)
    users = np.repeat(np.arange(pairs.n_users), pairs.counts)
    if len(items) > MAX_VISITS:
        chosen = rng.random(pairs.n_users) < MAX_VISITS / len(items)
        items, users = items[chosen[users]], users[chosen[users]]
    keys, weights = [], []
    for distance in range(1, WINDOW + 1):
        same = users[distance:] == users[:-distance]
        first, second = items[:-distance][same].astype(np.int64), items[distance:][same].astype(np.int64)
        keys += [first * n_items + second, second * n_items + first]
        weights.append(np.full(2 * len(first), 1.0 / distance, dtype=np.float32))
    distinct, place = np.unique(np.concatenate(keys), return_inverse=True)
    sums = np.bincount(place, np.concatenate(weights), minlength=len(distinct))
    of_item, neighbour = distinct // n_items, distinct % n_items
    strength = sums / np.sqrt(pairs.item_counts()[neighbour] + POPULARITY_PRIOR)
    order = np.lexsort((neighbour, -strength, of_item))
    of_item, neighbour, strength = of_item[order], neighbour[order], strength[order]
    rank = np.arange(len(of_item)) - np.searchsorted(of_item, of_item)
    kept = rank < N_NEIGHBOURS
    neighbours = np.full((n_items, N_NEIGHBOURS), -1, dtype=np.int32)
    strengths = np.zeros((n_items, N_NEIGHBOURS), dtype=np.float32)
    neighbours[of_item[kept], rank[kept]] = neighbour[kept]
    strengths[of_item[kept], rank[kept]] = strength[kept]
    return neighbours, strengths


def draw_samples(train: Interactions, withheld: NDArray[np.bool_], rng: np.random.Generator) -> Samples:
    """At most `MAX_SAMPLES` withheld pairs, each with items that exist and its user does not have in `train`.

    A validation pair may be a negative: otherwise the MLP would know the pairs that it is selected on.
    """
    assert train.recency is not None and train.times is not None  # noqa: S101, PT018 -- as `without_newest`
    sampler = UnseenSampler(train, train.first_times())
    chosen = np.flatnonzero(withheld & (sampler.n_unseen_at(train.users, train.times) > 0))
    if len(chosen) > MAX_SAMPLES:
        chosen = np.sort(rng.choice(chosen, MAX_SAMPLES, replace=False))
    users = train.users[chosen].astype(np.int64)
    negatives = sampler.sample(users, N_NEGATIVES, rng, train.times[chosen])
    items = np.concatenate([train.indices[chosen][:, None], negatives], axis=1)
    return Samples(users, items, train.counts[users] - 1 - train.recency[chosen])


@torch.no_grad()
def inputs_of(
    model: RecentNCF, parts: Sequence[Part], train: Interactions, samples: Samples
) -> tuple[Tensor, Tensor]:
    """Base logits (S, 1 + n) and inputs (S, 1 + n, F) of samples, with the users as they were before them."""
    ordered, starts = _by_age(train)
    gaps = gaps_before(train, samples.users, samples.n_before)
    ages = np.arange(model.config.n_recent)
    logits, inputs = [], []
    for rows in np.array_split(np.arange(len(samples.users)), max(1, len(samples.users) // SCORING_BATCH)):
        users, n_before = samples.users[rows], samples.n_before[rows]
        place = (starts[users] + n_before)[:, None] - 1 - ages
        recent = torch.from_numpy(np.where(ages < n_before[:, None], ordered[np.maximum(place, 0)], -1))
        items = torch.from_numpy(samples.items[rows])
        vectors = torch.cat(
            [_vectors_before(part, users, n_before, ordered, starts) for part in parts], dim=1
        )
        item = model.item_features(items)
        base = torch.einsum("sd,snd->sn", vectors, item[0])
        user = (
            vectors.unsqueeze(1),
            recent.long().unsqueeze(1),
            torch.cat([log_count(torch.from_numpy(n_before))[:, None], gaps[rows]], dim=1).unsqueeze(1),
        )
        logits.append(base)
        inputs.append(model.inputs(base, model.co_visits(recent.long(), items), user, item))
    return torch.cat(logits), torch.cat(inputs)


def gaps_before(pairs: Interactions, users: NDArray[np.int64], n_before: NDArray[np.int64]) -> Tensor:
    """Gaps of users (B,) with only their first pairs, n_before (B,) each (`RecentStatistics`): (B, G)."""
    assert pairs.recency is not None and pairs.times is not None  # noqa: S101, PT018 -- as `without_newest`
    times = np.empty_like(pairs.times)
    times[np.repeat(pairs.indptr[1:], pairs.counts) - 1 - pairs.recency] = pairs.times
    last = np.maximum(n_before - 1, 0)
    newest = pairs.indptr[users] + last
    newest = np.minimum(newest, max(0, len(times) - 1))  # of a user without pairs, who has no gaps either
    older = np.minimum(np.array(GAP_PLACES), last[:, None])
    seconds = times[newest][:, None] - times[newest[:, None] - older]
    return log_count(torch.from_numpy(seconds))


def _vectors_before(
    part: Part,
    users: NDArray[np.int64],
    n_before: NDArray[np.int64],
    ordered: NDArray[np.int32],
    starts: NDArray[np.int64],
) -> Tensor:
    """Vectors of users with only their first pairs: (B, D) of the fused model's factors of this part."""
    rows = np.repeat(np.arange(len(users)), n_before)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(n_before) - n_before, n_before)
    relevance = part.history.of(np.repeat(n_before, n_before) - 1 - within, rows, len(users))
    items = ordered[np.repeat(starts[users], n_before) + within]
    history = pooled_history(rows, items, len(users), relevance)
    return part.model.user_features(torch.from_numpy(users), history)[0] * part.blend_weight


def _by_age(pairs: Interactions) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Items of each user from the oldest to the newest (P,), and where each user starts (U + 1,)."""
    assert pairs.recency is not None  # noqa: S101 -- `without_newest` has checked
    ordered = np.empty_like(pairs.indices)
    ordered[np.repeat(pairs.indptr[1:], pairs.counts) - 1 - pairs.recency] = pairs.indices
    return ordered, pairs.indptr
