"""Whole-catalogue evaluation: each held-out item among all items that its user has not seen.

Sampled metrics can order models differently (Krichene and Rendle 2020, "On sampled metrics for item
recommendation"), hence both are reported. A user with few unseen items is ranked among those, and one whose
only unseen item is the held-out one is left out. Scores are computed in blocks of users: matrix products.

Shapes: C held-out pairs, B of them scored at once, I items, k items per list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.ncf.data.interactions import DataError, Interactions
from ml.ncf.evaluation.metrics import UNRANKED
from ml.ncf.model.finite import require_finite

MAX_PAIRS = 20_000  # standard error of HR 0.003
MAX_SCORES = 2_000_000_000  # of one model: 10,000 pairs of 200,000 items
MAX_BLOCK_SCORES = 2**22  # scores computed at once: 16 MiB

CatalogueScores = Callable[[Tensor], Tensor]  # users (B,) to scores (B, I)


@dataclass(frozen=True, eq=False)
class CatalogueResult:
    """Ranks and recommended items of held-out pairs under one model.

    Attributes:
        ranks: (C,) from 0; `UNRANKED` if the model cannot recommend the item.
        lists: (C, k) recommended items, -1 where a user has fewer.
    """

    ranks: Tensor
    lists: Tensor


@dataclass(frozen=True, eq=False)
class CatalogueSet:
    """Held-out pairs that are ranked in the whole catalogue, and the items that their users have seen."""

    users: NDArray[np.int64]  # (C,)
    held_out: NDArray[np.int64]  # (C,)
    seen: Interactions
    n_available: int  # held-out pairs before sampling
    n_left_out: int  # of them, pairs of users without another unseen item

    @classmethod
    def sampled(
        cls,
        held_out: Interactions,
        seen: Interactions,
        rng: np.random.Generator,
        max_pairs: int = MAX_PAIRS,
        max_scores: int = MAX_SCORES,
    ) -> CatalogueSet:
        """The held-out pairs, or a uniform sample of them if there are more than the limits allow.

        Args:
            held_out: pairs to rank; not in `seen`.
            seen: pairs that are not recommended.
            rng: of the sample.
            max_pairs: limit of the pairs.
            max_scores: limit of the scores: pairs times items.

        Raises:
            DataError: no user has another unseen item.
        """
        users = held_out.users.astype(np.int64)
        chosen = np.flatnonzero(seen.counts[users] < held_out.n_items - 1)
        if not len(chosen):
            raise DataError("every user has seen all items: nothing is left to rank")
        n_left_out = len(users) - len(chosen)
        limit = min(max_pairs, max(1, max_scores // held_out.n_items))
        if limit < len(chosen):
            chosen = np.sort(rng.choice(chosen, limit, replace=False))
        items = held_out.indices[chosen].astype(np.int64)
        return cls(users[chosen], items, seen, n_available=len(users), n_left_out=n_left_out)

    @property
    def n_others(self) -> Tensor:
        """Number of items that each held-out one is ranked among: (C,)."""
        return torch.from_numpy(self.seen.n_items - 1 - self.seen.counts[self.users])

    def rank(
        self, scores_of: CatalogueScores, k: int, max_block_scores: int = MAX_BLOCK_SCORES
    ) -> CatalogueResult:
        """Rank the pairs by the scores of a model; ties count against it.

        Args:
            scores_of: scores for all items; -inf for an item that the model cannot recommend.
            k: length of the lists.
            max_block_scores: limit of the scores in memory; does not change the result.

        Raises:
            ml.ncf.model.finite.NotFiniteError: a score is NaN or +inf.
        """
        block = max(1, max_block_scores // self.seen.n_items)
        found = [self._rank_block(slice(at, at + block), scores_of, k) for at in self._starts(block)]
        ranks, lists = zip(*found, strict=True)
        return CatalogueResult(torch.cat(ranks), torch.cat(lists))

    def _starts(self, block: int) -> range:
        return range(0, len(self.users), block)

    def _rank_block(self, block: slice, scores_of: CatalogueScores, k: int) -> tuple[Tensor, Tensor]:
        users, held_out = self.users[block], torch.from_numpy(self.held_out[block])
        scores = scores_of(torch.from_numpy(users))
        require_finite(torch.where(scores == -torch.inf, 0.0, scores), "scores")
        rows, items = self.seen.gather(users)
        scores[torch.from_numpy(rows), torch.from_numpy(items.astype(np.int64))] = -torch.inf
        own = scores.gather(1, held_out[:, None])
        # - 1: the held-out item itself. Items with -inf are behind every finite score.
        ranks = torch.where(torch.isfinite(own[:, 0]), (scores >= own).sum(1) - 1, UNRANKED)
        top = scores.topk(min(k, scores.shape[1]), dim=1)
        return ranks, torch.where(top.values == -torch.inf, -1, top.indices)


def list_metrics(lists: Tensor, held_out: Tensor, popularity: Tensor) -> dict[str, float]:
    """Coverage, Gini coefficient and popularity bias of lists (C, k) that were recommended.

    Coverage is the fraction of the catalogue in at least one list. The Gini coefficient is that of the number
    of lists per item, over the whole catalogue: 0 if all items are recommended equally often, near 1 if few
    items take all places. The popularity bias is the mean popularity of the recommended items over that of
    the held-out items (C,); 1 means no bias.

    Args:
        popularity: (I,) number of train interactions per item.
    """
    n_shown = torch.bincount(lists[lists >= 0], minlength=len(popularity)).double()
    numbers = torch.arange(1, len(n_shown) + 1, dtype=torch.float64)
    total = n_shown.sum().clamp(min=1.0)
    gini = 2.0 * (numbers * n_shown.sort().values).sum() / (len(n_shown) * total) - (
        len(n_shown) + 1.0
    ) / len(n_shown)
    shown = (n_shown * popularity).sum() / total
    taken = popularity[held_out].double().mean()
    return {
        "coverage": (n_shown > 0).double().mean().item(),
        "gini": gini.item(),
        "popularity_bias": (shown / taken.clamp(min=1e-12)).item(),
    }
