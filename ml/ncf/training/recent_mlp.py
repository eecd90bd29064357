"""Training of the MLP over recent items (`ml.ncf.model.recent`) on the samples of `recent_data`.

All inputs of the samples are computed once, so that an epoch takes a fraction of a second.

Shapes: S samples, n negatives, C validation pairs, N negatives of each, F inputs.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- the name that PyTorch's own documentation gives it
from torch import Tensor, nn

from ml.ncf.evaluation import metrics
from ml.ncf.evaluation.evaluation_set import SCORING_BATCH, EvaluationSet
from ml.ncf.model.recent import RecentNCF

EPOCHS = 10
LEARNING_RATE = 0.01
WEIGHT_DECAY = 1e-3
BATCH_SIZE = 256
SHARES = (1.0, 0.75, 0.5, 0.25)
MIN_STANDARD_ERRORS = 1.0  # of a gain: epoch and share are selected on the same pairs


@dataclass(frozen=True)
class MLPEpoch:
    """One pass over the samples."""

    loss: float
    metrics: dict[str, float]  # of the model with the MLP, on validation


@dataclass(frozen=True)
class MLPResult:
    """What the MLP is worth on validation, and its epochs.

    Attributes:
        epochs: from the first.
        share: factor of the MLP's output; 0: the base model is better alone.
        gain: in NDCG, with that share.
        standard_error: of the gain, over the validation pairs.
        metrics: of the model with that share.
    """

    epochs: list[MLPEpoch]
    share: float
    gain: float
    standard_error: float
    metrics: dict[str, float]


def fit_layers(
    model: RecentNCF,
    samples: tuple[Tensor, Tensor],
    validation: EvaluationSet,
    rng: np.random.Generator,
    k: int,
) -> MLPResult:
    """Train the MLP of a model in place, and select its epoch and its share on validation.

    Args:
        model: with an untrained MLP.
        samples: base logits (S, 1 + n) and inputs (S, 1 + n, F).
        validation: held-out pairs among negatives.
        rng: of initial weights and order of the samples.
        k: cut-off of NDCG.
    """
    base, inputs = samples
    model.initialise_layers(rng)
    flat = inputs.flatten(0, -2)
    model.input_mean, model.input_std = flat.mean(0), flat.std(0).clamp(min=1e-3)
    scaled = (inputs - model.input_mean) / model.input_std
    ranked, of_ranked = _validation_inputs(model, validation)
    optimizer = torch.optim.AdamW(model.layers.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    epochs: list[MLPEpoch] = []
    best = copy.deepcopy(model.layers.state_dict())
    for _ in range(EPOCHS):
        loss = _epoch(model.layers, optimizer, base, scaled, rng)
        schedule.step()
        with torch.no_grad():
            corrected = ranked + model.layers(of_ranked).squeeze(-1)
        epochs.append(MLPEpoch(loss, metrics.of_scores(validation.masked(corrected), k)))
        if epochs[-1].metrics["ndcg"] == max(each.metrics["ndcg"] for each in epochs):
            best = copy.deepcopy(model.layers.state_dict())
    model.layers.load_state_dict(best)
    return _select_share(model, (ranked, of_ranked), validation, epochs, k)


def _epoch(
    layers: nn.Module,
    optimizer: torch.optim.Optimizer,
    base: Tensor,
    inputs: Tensor,
    rng: np.random.Generator,
) -> float:
    """Softmax over the items of each sample, once over all samples; the mean loss."""
    total = 0.0
    order = torch.from_numpy(rng.permutation(len(base)))
    for batch in order.split(BATCH_SIZE):
        logits = base[batch] + layers(inputs[batch]).squeeze(-1)
        loss = F.cross_entropy(logits, torch.zeros(len(batch), dtype=torch.long))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    return total / len(base)


@torch.no_grad()
def _select_share(
    model: RecentNCF,
    validated: tuple[Tensor, Tensor],
    validation: EvaluationSet,
    epochs: list[MLPEpoch],
    k: int,
) -> MLPResult:
    """Scale the last layer by the best share; 0 unless the gain exceeds `MIN_STANDARD_ERRORS`."""
    base, inputs = validated
    added = model.layers(inputs).squeeze(-1)
    without = _gains(validation.masked(base), k)
    by_share = {share: _gains(validation.masked(base + share * added), k) for share in SHARES}
    share = max(SHARES, key=lambda each: float(by_share[each].mean()))
    change = by_share[share] - without
    gain, error = float(change.mean()), float(change.std() / math.sqrt(len(change)))
    if not gain > MIN_STANDARD_ERRORS * error:
        share = 0.0
    model.last_layer.weight.mul_(share)
    model.last_layer.bias.mul_(share)
    quality = metrics.of_scores(validation.masked(base + share * added), k)
    return MLPResult(epochs, share, gain, error, quality)


def _gains(scores: Tensor, k: int) -> Tensor:
    """NDCG of each row: (C, 1 + N) to (C,)."""
    return metrics.discounted_gains(metrics.rank_of_first(scores), k)


@torch.no_grad()
def _validation_inputs(model: RecentNCF, validation: EvaluationSet) -> tuple[Tensor, Tensor]:
    """Base logits (C, 1 + N) and scaled inputs (C, 1 + N, F) of the validation pairs."""
    base, inputs = validation.logits(model.base), []
    for users, items, logits in zip(
        *(each.split(SCORING_BATCH) for each in (validation.users, validation.items, base)), strict=True
    ):
        user = model.user_features(users)
        co_visited = model.co_visits(user[-2], items.long())
        wide = tuple(each.unsqueeze(1) for each in user)
        inputs.append(model.inputs(logits, co_visited, wide, model.item_features(items)))
    return base, (torch.cat(inputs) - model.input_mean) / model.input_std
