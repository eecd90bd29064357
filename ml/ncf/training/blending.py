"""Blend weights of separately trained parts (He et al. 2017, section 3.4.1), chosen on validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor

from ml.ncf.model.finite import require_finite

GRID = tuple(step / 10 for step in range(11))  # blend weights that are tried; those of all parts sum to 1


def best_blend_weights(
    scores: Sequence[Tensor], quality: Callable[[Tensor], float], grid: Sequence[float] = GRID
) -> list[float]:
    """Blend weight of each part, so that the quality of the blend is highest; 1/2 in the paper (equation 13).

    Logits of models trained with different losses have different scales, so each part is first scaled to the
    standard deviation of the first one. The scale is part of the returned weight.

    Args:
        scores: of each part, (C, 1 + N).
        quality: of blended scores (C, 1 + N); higher is better.
        grid: values of a weight before scaling.

    Raises:
        ml.ncf.model.finite.NotFiniteError: the scores are so large that a scale or a blend is not finite.
    """
    scales = [float(scores[0].std() / each.std().clamp(min=1e-6)) for each in scores]

    def blended_quality(weights: tuple[float, ...]) -> float:
        scaled = [weight * scale for weight, scale in zip(weights, scales, strict=True)]
        return quality(_blend(scores, scaled))

    sums_to_one = (each for each in product(grid, repeat=len(scores)) if abs(sum(each) - 1) < 1e-6)
    best = max(sums_to_one, key=blended_quality)
    return [weight * scale for weight, scale in zip(best, scales, strict=True)]


def gain_of_part(
    part: int, scores: Sequence[Tensor], weights: Sequence[float], quality: Callable[[Tensor], float]
) -> float:
    """Quality of a blend, less that of the best blend without one of its parts.

    Args:
        part: position of the part in `scores`; there is at least one other.
        scores, weights: of all parts, as for `best_blend_weights`, and as it returns them.
        quality: of blended scores.
    """
    others = [*scores[:part], *scores[part + 1 :]]
    without = _blend(others, best_blend_weights(others, quality))
    return quality(_blend(scores, weights)) - quality(without)


def _blend(scores: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    blended = torch.zeros_like(scores[0])
    for weight, each in zip(weights, scores, strict=True):
        blended.add_(each, alpha=weight)
    require_finite(blended, "blended scores")
    return blended
