"""Metrics of the sampled protocol in expectation over the sampled negatives, from whole-catalogue ranks.

If r of the n items that could be sampled are ahead of the held-out item, the number of those among m sampled
ones has the hypergeometric distribution (Li et al. 2020, "On sampling top-k recommendation evaluation"). The
expectation has less noise than one sample, so that the quality gate sees smaller differences (ADR 36).

Shapes: C held-out pairs, k ranks that count.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ml.ncf.evaluation.metrics import RANKING_METRICS


def expected_values(ranks: Tensor, n_others: Tensor, n_negatives: int, k: int) -> dict[str, Tensor]:
    """Expected values (C,) of every metric of `RANKING_METRICS`, by its key in reports.

    Args:
        ranks: (C,) rank, from 0, of each held-out item among all others; larger than `n_others` if the model
            cannot recommend it.
        n_others: (C,) number of others, from which the negatives are drawn without replacement.
        n_negatives: m; with fewer others, all of them are negatives.
        k: the cut-off of the metrics.
    """
    share = rank_probabilities(ranks, n_others, n_negatives, k)
    numbers = torch.arange(k)
    return {f"{name}_at_{k}": share @ values(numbers, k) for name, values in RANKING_METRICS.items()}


def rank_probabilities(ranks: Tensor, n_others: Tensor, n_negatives: int, k: int) -> Tensor:
    """Probability of each rank below k among the sampled negatives: (C, k); see `expected_values`."""
    n = n_others.double()[:, None]
    is_ranked = ranks <= n_others
    ahead = torch.where(is_ranked, ranks, n_others).double()[:, None]
    drawn = n.clamp(max=float(n_negatives))
    found = torch.arange(k, dtype=torch.float64)
    log_share = _log_choose(ahead, found) + _log_choose(n - ahead, drawn - found) - _log_choose(n, drawn)
    return torch.where(is_ranked[:, None], log_share.exp(), 0.0)


def _log_choose(n: Tensor, chosen: Tensor) -> Tensor:
    """Logarithm of the number of ways to choose from n; -inf if there is none."""
    is_possible = (chosen >= 0) & (chosen <= n)
    chosen = chosen.clamp(min=0.0).minimum(n)
    found = torch.lgamma(n + 1) - torch.lgamma(chosen + 1) - torch.lgamma(n - chosen + 1)
    return torch.where(is_possible, found, -torch.inf)
