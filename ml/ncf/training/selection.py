"""Choices that are made on validation while a plan runs: epoch, weights of histories, and blend weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation import metrics
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.model.base import HistoryOf, RankingModel
from ml.ncf.objectives.histories import EQUAL_WEIGHTS, HistoryWeights, full_histories
from ml.ncf.training.blending import GRID, best_blend_weights, gain_of_part
from ml.ncf.training.loop import Epoch

# Half-lives of an item's weight in a history, counted in newer items; the first of equal results is chosen.
HALF_LIVES = (math.inf, 64.0, 32.0, 16.0, 8.0, 4.0, 2.0)
EQUAL_SHARES = (0.0, 0.1, 0.2, 0.3, 0.5)


@dataclass
class Selection:
    """Result of the selection on validation, shared by a phase and its refit."""

    best: Epoch
    history: HistoryWeights = EQUAL_WEIGHTS
    blend_weight: float = 1.0  # of this phase's model in a fused one


@dataclass(frozen=True, kw_only=True)
class Selector:
    """Chooses the values with the highest NDCG on validation.

    Args:
        validation: held-out pairs among negatives.
        k: cut-off of the metrics.
        half_lives: half-lives of an item in a history to choose from.
        blend_grid: blend weights to choose from.
    """

    validation: EvaluationSet
    k: int
    half_lives: Sequence[float] = HALF_LIVES
    blend_grid: Sequence[float] = GRID

    def metrics_of(self, scores: Tensor) -> dict[str, float]:
        """Metrics of scores (C, 1 + N) of the validation pairs."""
        return metrics.of_scores(scores, self.k)

    def history_weights(self, model: RankingModel, known: Interactions) -> HistoryWeights:
        """Weights of the items in the histories of `known`; equal ones if the times are not known.

        First the half-life, then the share of equal weights beside it.
        """
        if known.recency is None:
            return EQUAL_WEIGHTS

        def ndcg(weights: HistoryWeights) -> float:
            return self.metrics_of(self.validation.scores(model, history_of(known, weights)))["ndcg"]

        decayed = max((HistoryWeights(half_life) for half_life in self.half_lives), key=ndcg)
        if math.isinf(decayed.half_life):
            return decayed
        return max((replace(decayed, equal_share=share) for share in EQUAL_SHARES), key=ndcg)

    def blend_weights(self, parts: Sequence[RankingModel]) -> list[float]:
        """Blend weight of each part; 0: the blend is better, or as good, without it."""
        return best_blend_weights(self._logits(parts), self._ndcg, self.blend_grid)

    def gains(self, parts: Sequence[RankingModel], weights: Sequence[float]) -> list[float]:
        """NDCG of a blend, less that of the best blend without each of its parts; there are at least two."""
        logits = self._logits(parts)
        return [gain_of_part(place, logits, weights, self._ndcg) for place in range(len(parts))]

    def gets_no_weight(
        self, parts: Sequence[RankingModel], histories: HistoryOf
    ) -> Callable[[RankingModel], bool]:
        """Whether a model that reads `histories` gets the blend weight 0 beside trained parts."""
        logits = self._logits(parts)

        def is_left_out(model: RankingModel) -> bool:
            blended = [*logits, self.validation.logits(model, histories)]
            return best_blend_weights(blended, self._ndcg, self.blend_grid)[-1] == 0

        return is_left_out

    def _logits(self, parts: Sequence[RankingModel]) -> list[Tensor]:
        return [self.validation.logits(part) for part in parts]

    def _ndcg(self, blended: Tensor) -> float:
        return self.metrics_of(self.validation.masked(blended))["ndcg"]


def history_of(known: Interactions, weights: HistoryWeights = EQUAL_WEIGHTS) -> HistoryOf:
    """The complete histories of users."""
    return partial(full_histories, known, weights=weights)
