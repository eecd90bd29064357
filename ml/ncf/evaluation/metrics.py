"""Ranking metrics, vectorised. Every one says its protocol; ties count against the model.

* Sampled protocol (He et al. 2017, section 4.1): the held-out item among given negatives.
* Whole catalogue: the held-out item among every item that the user has not seen. Sampled metrics can order
  models differently (Krichene and Rendle 2020, "On sampled metrics for item recommendation"): report both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def rank_of_first(scores: Tensor) -> Tensor:
    """Rank, from 0, of the first column among all: (B, 1 + N) to (B,); equal scores rank ahead of it."""
    return (scores[:, 1:] >= scores[:, :1]).sum(1)


def hit_rate(ranks: Tensor, k: int) -> float:
    """Share of ranks (from 0) below k: HR@k."""
    return (ranks < k).double().mean().item()


def ndcg(ranks: Tensor, k: int) -> float:
    """NDCG@k with one relevant item, so that the ideal gain is 1: 1 / log2(rank + 2) within k."""
    gains = 1.0 / torch.log2(ranks.double() + 2.0)
    return torch.where(ranks < k, gains, 0.0).mean().item()


def reciprocal_rank(ranks: Tensor) -> float:
    """Mean of 1 / (rank + 1), without a cut: MRR."""
    return (1.0 / (ranks.double() + 1.0)).mean().item()


def quality(scores: Tensor, k: int) -> dict[str, float]:
    """`hr_at_<k>` and `ndcg_at_<k>` of scores (C, 1 + N), the held-out item first."""
    ranks = rank_of_first(scores)
    return {f"hr_at_{k}": hit_rate(ranks, k), f"ndcg_at_{k}": ndcg(ranks, k)}


@dataclass
class CatalogueMetrics:
    """Whole-catalogue metrics, gathered a batch of users at a time."""

    popularity: Tensor  # (I,), train interactions an item
    k: int

    def __post_init__(self) -> None:
        self._ranks: list[Tensor] = []
        self._held_out: list[Tensor] = []
        self._shown = torch.zeros(len(self.popularity), dtype=torch.int64)

    def add(self, scores: Tensor, held_out: Tensor) -> None:
        """Scores (B, I), -inf for what the user has seen, and the held-out items (B,)."""
        own = scores.gather(1, held_out[:, None])
        self._ranks.append((scores >= own).sum(1) - 1)  # its own score is not ahead of it
        self._held_out.append(held_out)
        top = scores.topk(min(self.k, scores.shape[1]), dim=1).indices
        self._shown += torch.bincount(top.flatten(), minlength=len(self._shown))

    def result(self) -> dict[str, float]:
        """HR, NDCG, MRR; coverage, the share of the catalogue in anyone's top k; and popularity bias.

        The bias is the mean popularity of what is recommended over that of what users took next: 1 is none.
        """
        ranks = torch.cat(self._ranks)
        popularity = self.popularity.double()
        shown = (self._shown * popularity).sum() / self._shown.sum()
        taken = popularity[torch.cat(self._held_out)].mean()
        return {
            f"hr_at_{self.k}": hit_rate(ranks, self.k),
            f"ndcg_at_{self.k}": ndcg(ranks, self.k),
            "mrr": reciprocal_rank(ranks),
            f"coverage_at_{self.k}": (self._shown > 0).double().mean().item(),
            f"popularity_bias_at_{self.k}": (shown / taken.clamp(min=1e-12)).item(),
        }
