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


def catalogue_softmax(logits: Tensor, rows: Tensor, items: Tensor) -> Tensor:
    """Cross-entropy of a softmax over the whole catalogue, mean over the P positives.

    The multinomial likelihood of Liang et al. 2018 ("Variational autoencoders for collaborative filtering",
    equation 2), on any model's logits.

    Args:
        logits: (B, I), one row a user.
        rows: (P,) which row of `logits` each positive belongs to.
        items: (P,) the positives' items.
    """
    return (torch.logsumexp(logits, dim=1)[rows] - logits[rows, items]).mean()
