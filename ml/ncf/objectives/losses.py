"""Loss functions of logits.

Shapes: B users or pairs, I items, K sampled items, P positives in the batch.

The losses over a whole catalogue compute their gradient with the loss: autograd would keep, allocate and pass
over the (B, I) logits several times more.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- the name that PyTorch's own documentation gives it
from torch import Tensor


def pointwise_bce(positive: Tensor, negative: Tensor) -> Tensor:
    """Binary cross-entropy of positives (B,) and sampled negatives (B, n): mean over the B (1 + n) pairs.

    He et al. 2017, equation 7.
    """
    losses = F.softplus(-positive).sum() + F.softplus(negative).sum()
    return losses / (positive.numel() + negative.numel())


def catalogue_bce(
    logits: Tensor, rows: Tensor, items: Tensor, n_negatives: float, weights: Tensor | None = None
) -> Tensor:
    """Expected value of `pointwise_bce` over the sampling of negatives, computed from all unseen items.

    A user with p positives draws n p negatives uniformly from the I - p unseen items, so each of them has
    weight n p / (I - p).

    Args:
        logits: (B, I), one row per user.
        rows: (P,) row of `logits` of each positive.
        items: (P,) item of each positive.
        n_negatives: n, negatives per positive.
        weights: (P,) of the positives, with the mean 1; None: all equal.
    """
    found, n_items = logits.detach(), logits.shape[1]
    place, per_row = rows * n_items + items, torch.bincount(rows, minlength=logits.shape[0])
    positives = found.flatten().index_select(0, place)
    unseen_weight = n_negatives * per_row / (n_items - per_row).clamp(min=1)
    of_positives = unseen_weight[rows]
    n_terms = len(rows) * (1 + n_negatives)
    unseen = (unseen_weight * F.softplus(found).sum(1)).sum() - (of_positives * F.softplus(positives)).sum()
    loss = (_weighted(F.softplus(-positives), weights).sum() + unseen) / n_terms
    # d softplus(l) = σ(l) for unseen items, d softplus(-l) = σ(l) - 1 for positives
    gradient = torch.sigmoid(found).mul_((unseen_weight / n_terms).unsqueeze(1))
    gradient.view(-1)[place] = _weighted(torch.sigmoid(positives) - 1, weights) / n_terms
    return _with_gradient(logits, loss, gradient)


def catalogue_softmax(logits: Tensor, rows: Tensor, items: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of a softmax over the whole catalogue: mean over the P positives.

    This is the multinomial log-likelihood of Liang et al. 2018 ("Variational autoencoders for collaborative
    filtering", equation 2).

    Args:
        logits: (B, I), one row per user.
        rows: (P,) row of `logits` of each positive.
        items: (P,) item of each positive.
        weights: (P,) of the positives, with the mean 1; None: all equal.
    """
    log_shares = torch.log_softmax(logits.detach(), dim=1)
    place = rows * logits.shape[1] + items
    per_row = torch.bincount(rows, weights, minlength=logits.shape[0]) / len(rows)
    loss = -_weighted(log_shares.flatten().index_select(0, place), weights).mean()
    gradient = log_shares.exp_().mul_(per_row.to(log_shares.dtype).unsqueeze(1))
    counted = log_shares.new_ones(len(rows)) if weights is None else weights
    gradient.view(-1).index_add_(0, place, counted, alpha=-1 / len(rows))
    return _with_gradient(logits, loss, gradient)


def sampled_bce(
    positive: Tensor,
    rows: Tensor,
    negative: Tensor,
    expected: Tensor,
    *,
    n_negatives: float,
    n_items: int,
    weights: Tensor | None = None,
) -> Tensor:
    """Estimate of `catalogue_bce` from a sample of items that all rows share.

    Args:
        positive: (P,) logits of the positives.
        rows: (P,) row of `negative` of each positive.
        negative: (B, K) logits of the sampled items; -inf where an item is a positive of the row.
        expected: (K,) expected number of draws of each item over the number of times it was drawn.
        n_negatives: n, negatives per positive.
        n_items: I.
        weights: (P,) of the positives, with the mean 1; None: all equal.
    """
    per_row = torch.bincount(rows, minlength=negative.shape[0])
    weight = n_negatives * per_row / (n_items - per_row).clamp(min=1)
    unseen = (weight * (F.softplus(negative) / expected).sum(1)).sum()
    return (_weighted(F.softplus(-positive), weights).sum() + unseen) / (len(rows) * (1 + n_negatives))


def sampled_softmax(
    positive: Tensor, rows: Tensor, negative: Tensor, expected: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Estimate of `catalogue_softmax` from a sample of items that all rows share.

    The logit of each negative is reduced by the logarithm of its expected number of draws, so that the sum of
    exponentials over the sample estimates the sum over the catalogue (log-Q correction: Bengio and Senécal
    2008; Yi et al. 2019, "Sampling-bias-corrected neural modeling", equation 4).

    Args:
        positive: (P,) logits of the positives.
        rows: (P,) row of `negative` of each positive.
        negative: (B, K) logits of the sampled items; -inf where an item is a positive of the row.
        expected: (K,) expected number of draws of each item over the number of times it was drawn.
        weights: (P,) of the positives, with the mean 1; None: all equal.
    """
    rest = torch.logsumexp(negative - expected.log(), dim=1)
    return _weighted(torch.logaddexp(positive, rest[rows]) - positive, weights).mean()


def _weighted(values: Tensor, weights: Tensor | None) -> Tensor:
    return values if weights is None else values * weights


def _with_gradient(logits: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
    """The loss, as a function of the logits with this gradient."""
    result: Tensor = _KnownGradient.apply(logits, loss, gradient)
    return result


class _KnownGradient(torch.autograd.Function):
    """A loss whose gradient with respect to the logits is known; for one backward pass."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        del logits
        ctx.gradient = gradient
        return loss

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None]:
        gradient: Tensor = ctx.gradient
        del ctx.gradient
        return gradient.mul_(outputs[0]), None, None
