"""The parts that a model is pretrained as (He et al. 2017, section 3.4.1), and how much each counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

from ml.settings.hyperparameters import Architecture, Hyperparameters

SHARES = tuple(step / 10 for step in range(11))  # of a part in the last layer, as they are tried


@dataclass(frozen=True)
class Part:
    """A part of a pretrained model, and the settings of its own training."""

    name: str
    architecture: Architecture
    settings: Hyperparameters


def parts_of(settings: Hyperparameters) -> list[Part]:
    """The parts of a model, as its settings name them."""
    parts = [Part("gmf", "gmf", settings)]
    if settings.pointwise_factor_num:
        pointwise = replace(
            settings,
            objective="row-bce",
            factor_num=settings.pointwise_factor_num,
            epochs=settings.pointwise_epochs,
            lr=settings.pointwise_lr,
            weight_decay=settings.pointwise_weight_decay,
            dropout=settings.pointwise_dropout,
        )
        parts.append(Part("gmf-pointwise", "gmf", pointwise))
    if settings.architecture == "neumf":
        mlp = replace(
            settings,
            objective=settings.mlp_objective,
            n_negatives=settings.mlp_n_negatives,
            history=settings.history and settings.mlp_objective != "bce",
            epochs=settings.mlp_epochs,
            lr=settings.mlp_lr,
            batch_size=settings.mlp_batch_size,
            weight_decay=settings.mlp_weight_decay,
            dropout=settings.mlp_dropout,
        )
        parts.append(Part("mlp", "mlp", mlp))
    return parts


def best_shares(scores: Sequence[Tensor], quality: Callable[[Tensor], float]) -> list[float]:
    """Each part's share of the last layer: the paper fixes 1/2, here validation chooses.

    Logits of parts trained under different losses have different scales: each is first brought to the scale
    of the first part, whose loss trains them on.

    Args:
        scores: of each part, (C, 1 + N).
        quality: of such scores; the most is best.
    """
    scales = [float(scores[0].std() / each.std().clamp(min=1e-6)) for each in scores]

    def of(shares: tuple[float, ...]) -> float:
        mixed = torch.zeros_like(scores[0])
        for share, scale, each in zip(shares, scales, scores, strict=True):
            mixed.add_(each, alpha=share * scale)
        return quality(mixed)

    best = max((s for s in product(SHARES, repeat=len(scores)) if abs(sum(s) - 1) < 1e-6), key=of)
    return [share * scale for share, scale in zip(best, scales, strict=True)]
