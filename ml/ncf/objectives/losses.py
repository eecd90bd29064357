"""Training objectives as free functions of logits."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 -- the name that PyTorch's own documentation gives it
from torch import Tensor


def pointwise_bce(positive: Tensor, negative: Tensor) -> Tensor:
    """Binary cross-entropy of observed pairs (B,) and sampled negatives (B, n), mean over all B (1 + n).

    He et al. 2017, equation 7.
    """
    losses = F.softplus(-positive).sum() + F.softplus(negative).sum()
    return losses / (positive.numel() + negative.numel())


def catalogue_bce(logits: Tensor, rows: Tensor, items: Tensor, n_negatives: float) -> Tensor:
    """What `pointwise_bce` is in expectation, with every unseen item in place of a sample: no sampling noise.

    A user with p positives draws n p negatives uniformly from the I - p unseen items: each of those weighs
    n p / (I - p).

    Args:
        logits: (B, I), one row a user.
        rows: (P,) which row of `logits` each positive belongs to.
        items: (P,) the positives' items.
        n_negatives: n, the negatives a positive.
    """
    n_items = logits.shape[1]
    positives = logits.flatten().index_select(0, rows * n_items + items)
    per_row = torch.bincount(rows, minlength=logits.shape[0])
    weight = n_negatives * per_row / (n_items - per_row).clamp(min=1)
    unseen = (weight * F.softplus(logits).sum(1)).sum() - (weight[rows] * F.softplus(positives)).sum()
    return (F.softplus(-positives).sum() + unseen) / (len(rows) * (1 + n_negatives))


def catalogue_softmax(logits: Tensor, rows: Tensor, items: Tensor) -> Tensor:
    """Cross-entropy of a softmax over the whole catalogue, mean over the P positives.

    The multinomial likelihood of Liang et al. 2018 ("Variational autoencoders for collaborative filtering",
    equation 2), on any model's logits.

    Args:
        logits: (B, I), one row a user.
        rows: (P,) which row of `logits` each positive belongs to.
        items: (P,) the positives' items.
    """
    positives = logits.flatten().index_select(0, rows * logits.shape[1] + items)
    per_row = torch.bincount(rows, minlength=logits.shape[0])
    return ((torch.logsumexp(logits, dim=1) * per_row).sum() - positives.sum()) / len(rows)


def sampled_bce(
    positive: Tensor,
    rows: Tensor,
    negative: Tensor,
    expected: Tensor,
    *,
    n_negatives: float,
    n_items: int,
) -> Tensor:
    """An estimate of `catalogue_bce` from a sample that the rows share.

    Args:
        positive: (P,) logits of the positives.
        rows: (P,) which row of `negative` each belongs to.
        negative: (B, K) logits of K sampled items; -inf where an item is a positive of the row.
        expected: (K,) each item's expected number of draws over how often it was drawn.
        n_negatives: n, the negatives a positive.
        n_items: I, of the catalogue.
    """
    per_row = torch.bincount(rows, minlength=negative.shape[0])
    weight = n_negatives * per_row / (n_items - per_row).clamp(min=1)
    unseen = (weight * (F.softplus(negative) / expected).sum(1)).sum()
    return (F.softplus(-positive).sum() + unseen) / (len(rows) * (1 + n_negatives))


def sampled_softmax(positive: Tensor, rows: Tensor, negative: Tensor, expected: Tensor) -> Tensor:
    """The same cross-entropy where the rest of the catalogue is a shared sample, mean over the P positives.

    Each negative's logit is corrected by the logarithm of how often it was expected in the sample, so that
    the sum over the sample estimates the sum over the catalogue (log-Q: Bengio and Senécal 2008; Yi et al.
    2019, "Sampling-bias-corrected neural modeling", equation 4).

    Args:
        positive: (P,) logits of the positives.
        rows: (P,) which row of `negative` each belongs to.
        negative: (B, K) logits of K sampled items; -inf where an item is a positive of the row.
        expected: (K,) each item's expected number of draws over how often it was drawn.
    """
    rest = torch.logsumexp(negative - expected.log(), dim=1)
    return (torch.logaddexp(positive, rest[rows]) - positive).mean()
