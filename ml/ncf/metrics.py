"""Ranking metrics, vectorised. Every one says its protocol; ties count against the model.

* Sampled protocol (He et al. 2017, section 4.1): the held-out item among given negatives.
* Whole catalogue: the held-out item among every item that the user has not seen. Sampled metrics can order
  models differently (Krichene and Rendle 2020, "On sampled metrics for item recommendation"): report both.
"""

from __future__ import annotations

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
