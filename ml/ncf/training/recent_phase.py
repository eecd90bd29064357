"""Phase that adds the MLP over recent items: its pairs, its training, and the model after the refit."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.model.base import RankingModel
from ml.ncf.model.ncf import NCF
from ml.ncf.model.recent import RecentNCF
from ml.ncf.objectives.histories import HistoryWeights
from ml.ncf.training.loop import Epoch, best_epoch, peak_memory_mib
from ml.ncf.training.plan import TrainingPhase
from ml.ncf.training.recent_data import Part, draw_samples, inputs_of, statistics_of, without_newest
from ml.ncf.training.recent_mlp import MLPResult, fit_layers


@dataclass(frozen=True)
class SelectedPart:
    """What validation selected for a part of the base model."""

    history: HistoryWeights
    blend_weight: float


@dataclass(kw_only=True)
class RecentPhase:
    """State of the phase during a run.

    Attributes:
        train: the train split, with times.
        fitted: its pairs without the withheld ones, on which the parts of the base model are trained.
        withheld: (P,), the pairs of `train` on which the MLP is trained.
        parts: trained parts of the base model that still read histories, by phase.
        model: the model with the MLP; None: not trained yet, or left out.
    """

    train: Interactions
    fitted: Interactions
    withheld: NDArray[np.bool_]
    parts: dict[str, RankingModel] = field(default_factory=dict)
    model: RecentNCF | None = None

    @classmethod
    def of_plan(cls, plan: Sequence[TrainingPhase], train: Interactions) -> RecentPhase | None:
        """None if the plan has no such phase, the times are not known, or the users have too few pairs."""
        phase = next((each for each in plan if each.base is not None), None)
        if phase is None or train.recency is None:
            return None
        fitted, withheld = without_newest(train, phase.settings.recent_pairs)
        return cls(train=train, fitted=fitted, withheld=withheld) if withheld.any() else None

    def fit(
        self,
        phase: TrainingPhase,
        base: RankingModel,
        selected: Mapping[str, SelectedPart],
        validation: EvaluationSet,
    ) -> tuple[RankingModel, list[Epoch], Epoch, str]:
        """Train the MLP; the model with it, or the base model if validation prefers that.

        Args:
            phase: the phase.
            base: the fused model of the parts.
            selected: of each part.
            validation: held-out pairs among negatives.

        Returns:
            The model, the epochs, the best one with the metrics of the model, and a sentence on the choice.
        """
        began = time.perf_counter()
        rng = np.random.default_rng([phase.settings.seed, phase.index])
        parts = [
            Part(model, selected[name].history, selected[name].blend_weight)
            for name, model in self.parts.items()
            if isinstance(model, NCF) and selected[name].blend_weight
        ]
        self.parts.clear()
        if not isinstance(base, NCF) or not parts:
            raise ValueError(f"{phase.name}: the base model is not NCF")
        model = RecentNCF.of(base, statistics_of(self.train, self.fitted, rng))
        samples = draw_samples(self.train, self.withheld, rng)
        k = phase.settings.top_k
        result = fit_layers(model, inputs_of(model, parts, self.train, samples), validation, rng, k)
        seconds = time.perf_counter() - began
        epochs = [
            Epoch(phase.name, number, each.loss, each.metrics, seconds, peak_memory_mib())
            for number, each in enumerate(result.epochs, start=1)
        ]
        best = replace(best_epoch(epochs), metrics=result.metrics)
        if result.share:
            self.model = model
        return self.model or base, epochs, best, _sentence(result, k)

    def refitted(self, base: RankingModel, pairs: Interactions, rng: np.random.Generator) -> RankingModel:
        """The selected model around the base model that was trained on all pairs."""
        if self.model is None or not isinstance(base, NCF):
            return base
        self.model.replace_base(base, statistics_of(pairs, pairs, rng))
        return self.model


def no_mlp_sentence(train: Interactions) -> str:
    """Why a plan's MLP over recent items was not trained."""
    reason = "the times of the pairs are not known" if train.times is None else "the users have too few pairs"
    return f"The MLP over recent items is left out: {reason}."


def _sentence(result: MLPResult, k: int) -> str:
    error = 0.0 if math.isnan(result.standard_error) else result.standard_error
    gain = f"{result.gain:+.4f} (standard error {error:.4f})"
    if result.share:
        return f"The MLP over recent items is used, with share {result.share:g}: validation NDCG@{k} {gain}."
    return f"The MLP over recent items is left out: it would change validation NDCG@{k} by only {gain}."
