"""Ranking metrics of one held-out item per user. Ties and scores that are not finite count against the model.

* Sampled protocol (He et al. 2017, section 4.1): the held-out item among given negatives.
* Whole catalogue: the held-out item among all items that the user has not seen. Sampled metrics can order
  models differently (Krichene and Rendle 2020, "On sampled metrics for item recommendation"): report both.

`RANKING_METRICS` is the only list of metrics with a cut-off: training, evaluation, reports and benchmarks
compute all of them. `ml.settings.metrics` declares which are printed and gated, and under which label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from ml.settings.metrics import CUTOFF, GATED_METRICS

T = TypeVar("T")
UNRANKED = torch.iinfo(torch.int64).max  # rank of an item whose score is not finite: beyond any cut-off


def rank_of_first(scores: Tensor) -> Tensor:
    """Rank, from 0, of the first column: (B, 1 + N) to (B,).

    Equal scores and NaN rank ahead of it; -inf stands for an item that cannot be recommended. If the first
    column itself is not finite, the rank is `UNRANKED`.
    """
    first = scores[:, :1]
    rank = (~(scores[:, 1:] < first)).sum(1)
    return torch.where(torch.isfinite(first[:, 0]), rank, UNRANKED)


def hits(ranks: Tensor, k: int) -> Tensor:
    """1 for each rank (from 0) below k, otherwise 0; the mean is HR@k."""
    return (ranks < k).double()


def discounted_gains(ranks: Tensor, k: int) -> Tensor:
    """1 / log2(rank + 2) for each rank below k, otherwise 0; the mean is NDCG@k.

    There is one relevant item, so that the ideal gain is 1.
    """
    return torch.where(ranks < k, 1.0 / torch.log2(ranks.double() + 2.0), 0.0)


def reciprocal_ranks(ranks: Tensor) -> Tensor:
    """1 / (rank + 1) of each rank, without a cut-off; the mean is the MRR."""
    return 1.0 / (ranks.double() + 1.0)


# name -> values of ranks (B,) for the cut-off k: their mean is the metric, <name>_at_<k> in reports
RANKING_METRICS: dict[str, Callable[[Tensor, int], Tensor]] = {"hr": hits, "ndcg": discounted_gains}


def values_of_ranks(ranks: Tensor, k: int) -> dict[str, Tensor]:
    """The values (B,) of every metric of `RANKING_METRICS`, by its key in reports."""
    return {f"{name}_at_{k}": values(ranks, k) for name, values in RANKING_METRICS.items()}


def of_ranks(ranks: Tensor, k: int) -> dict[str, float]:
    """Every metric of `RANKING_METRICS`, by name."""
    return {name: values(ranks, k).mean().item() for name, values in RANKING_METRICS.items()}


def of_scores(scores: Tensor, k: int) -> dict[str, float]:
    """As `of_ranks`, for scores (C, 1 + N) with the held-out item first."""
    return of_ranks(rank_of_first(scores), k)


def with_cutoff(values: Mapping[str, T], k: int) -> dict[str, T]:
    """Values by their key in reports: `{"hr": 0.7}` becomes `{"hr_at_10": 0.7}`."""
    return {f"{name}_at_{k}": value for name, value in values.items()}


def quality(scores: Tensor, k: int) -> dict[str, float]:
    """Every metric of scores (C, 1 + N) by its key in reports: `hr_at_10`, `ndcg_at_10`."""
    return with_cutoff(of_scores(scores, k), k)


def log_line(values: Mapping[str, float]) -> str:
    """The gated metrics as SageMaker parses them: `HR@10=0.7012; NDCG@10=0.4241;`, from values by name."""
    labels = {metric.key.removesuffix(f"_at_{CUTOFF}"): metric.label for metric in GATED_METRICS}
    return " ".join(f"{label}={values[name]:.4f};" for name, label in labels.items())
