"""Ranking metrics of one held-out item per user. Ties and scores that are not finite count against the model.

* Sampled protocol (He et al. 2017, section 4.1): the held-out item among given negatives.
* Whole catalogue: the held-out item among all items that the user has not seen. Sampled metrics can order
  models differently (Krichene and Rendle 2020, "On sampled metrics for item recommendation"): report both.

`RANKING_METRICS` is the only list of metrics with a cut-off: training, evaluation, reports and benchmarks
compute all of them. `ml.settings.metrics` declares which are printed and gated, and under which label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ml.ncf.model.finite import require_finite
from ml.settings.metrics import CUTOFF, GATED_METRICS

UNRANKED = torch.iinfo(torch.int64).max  # rank of an item whose score is not finite: beyond any cut-off


def rank_of_first(scores: Tensor) -> Tensor:
    """Rank, from 0, of the first column: (B, 1 + N) to (B,).

    Equal scores and NaN rank ahead of it; -inf stands for an item that cannot be recommended. If the first
    column itself is not finite, the rank is `UNRANKED`.
    """
    first = scores[:, :1]
    rank = (~(scores[:, 1:] < first)).sum(1)
    return torch.where(torch.isfinite(first[:, 0]), rank, UNRANKED)


def hit_rate(ranks: Tensor, k: int) -> float:
    """HR@k: fraction of ranks (from 0) below k."""
    return (ranks < k).double().mean().item()


def ndcg(ranks: Tensor, k: int) -> float:
    """NDCG@k of one relevant item, whose ideal gain is 1: mean of 1 / log2(rank + 2) over ranks below k."""
    gains = 1.0 / torch.log2(ranks.double() + 2.0)
    return torch.where(ranks < k, gains, 0.0).mean().item()


def reciprocal_rank(ranks: Tensor) -> float:
    """MRR without a cut-off: the mean of 1 / (rank + 1)."""
    return (1.0 / (ranks.double() + 1.0)).mean().item()


# name -> function of ranks (B,) and the cut-off k; the key in reports is <name>_at_<k>
RANKING_METRICS: dict[str, Callable[[Tensor, int], float]] = {"hr": hit_rate, "ndcg": ndcg}


def of_ranks(ranks: Tensor, k: int) -> dict[str, float]:
    """Every metric of `RANKING_METRICS`, by name."""
    return {name: metric(ranks, k) for name, metric in RANKING_METRICS.items()}


def of_scores(scores: Tensor, k: int) -> dict[str, float]:
    """As `of_ranks`, for scores (C, 1 + N) with the held-out item first."""
    return of_ranks(rank_of_first(scores), k)


def with_cutoff(values: Mapping[str, float], k: int) -> dict[str, float]:
    """Metrics by their key in reports: `{"hr": 0.7}` becomes `{"hr_at_10": 0.7}`."""
    return {f"{name}_at_{k}": value for name, value in values.items()}


def quality(scores: Tensor, k: int) -> dict[str, float]:
    """Every metric of scores (C, 1 + N) by its key in reports: `hr_at_10`, `ndcg_at_10`."""
    return with_cutoff(of_scores(scores, k), k)


def log_line(values: Mapping[str, float]) -> str:
    """The gated metrics as SageMaker parses them: `HR@10=0.7012; NDCG@10=0.4241;`, from values by name."""
    labels = {metric.key.removesuffix(f"_at_{CUTOFF}"): metric.label for metric in GATED_METRICS}
    return " ".join(f"{label}={values[name]:.4f};" for name, label in labels.items())


@dataclass
class CatalogueMetrics:
    """Whole-catalogue metrics, accumulated over batches of users."""

    popularity: Tensor  # (I,), number of train interactions per item
    k: int

    def __post_init__(self) -> None:
        self._ranks: list[Tensor] = []
        self._held_out: list[Tensor] = []
        self._shown = torch.zeros(len(self.popularity), dtype=torch.int64)

    def add(self, scores: Tensor, held_out: Tensor) -> None:
        """Add users with scores (B, I), -inf for the items seen by the user, and held-out items (B,).

        Raises:
            ml.ncf.model.finite.NotFiniteError: a score is NaN or +inf.
        """
        require_finite(torch.where(scores == -torch.inf, 0.0, scores), "scores")
        held_out_score = scores.gather(1, held_out[:, None])
        rank = (scores >= held_out_score).sum(1) - 1  # - 1: the held-out item itself
        self._ranks.append(torch.where(torch.isfinite(held_out_score[:, 0]), rank, UNRANKED))
        self._held_out.append(held_out)
        top = scores.topk(min(self.k, scores.shape[1]), dim=1).indices
        self._shown += torch.bincount(top.flatten(), minlength=len(self._shown))

    def result(self) -> dict[str, float]:
        """The ranking metrics, MRR, coverage and popularity bias.

        Coverage is the fraction of the catalogue in at least one top k. The popularity bias is the mean
        popularity of the top-k items over that of the held-out items; 1 means no bias.
        """
        ranks = torch.cat(self._ranks)
        popularity = self.popularity.double()
        shown = (self._shown * popularity).sum() / self._shown.sum()
        taken = popularity[torch.cat(self._held_out)].mean()
        return {
            **with_cutoff(of_ranks(ranks, self.k), self.k),
            "mrr": reciprocal_rank(ranks),
            f"coverage_at_{self.k}": (self._shown > 0).double().mean().item(),
            f"popularity_bias_at_{self.k}": (shown / taken.clamp(min=1e-12)).item(),
        }
