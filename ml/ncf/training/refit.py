"""Refits: repetitions of phases on train and validation together.

A refit trains from random weights for the number of epochs that validation chose. If few of its pairs are
new, it starts from the selected weights and repeats only the end of the learning rate schedule: the same
quality in less time. With many new pairs (short histories, or pairs that were withheld for the MLP
over recent items) that is worse: docs/experiments/2026-11-26-training-speed-and-histories.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ml.ncf.model.base import RankingModel
from ml.ncf.training.plan import TrainingPhase

MAX_NEW_PAIRS = 0.03  # of the fitted pairs: a refit with more new pairs starts from random weights
REPEATED_PART = 5  # a refit from the selected weights repeats the last fifth of the epochs


@dataclass(kw_only=True)
class Refits:
    """The refits of a run that start from selected weights, and these weights."""

    names: frozenset[str]  # of those refits
    repeated: frozenset[str]  # the phases that they repeat
    selected: dict[str, RankingModel] = field(default_factory=dict)  # of those phases, before folding

    @classmethod
    def of_plan(cls, plan: Sequence[TrainingPhase], n_fitted: int, n_all: int) -> Refits:
        """The refits of a plan.

        Args:
            plan: the phases.
            n_fitted: pairs on which the selected weights are trained.
            n_all: pairs of a refit.
        """
        has_few_new_pairs = n_all <= (1 + MAX_NEW_PAIRS) * n_fitted
        phases = [phase for phase in plan if phase.may_continue and has_few_new_pairs]
        return cls(
            names=frozenset(phase.name for phase in phases),
            repeated=frozenset(str(phase.repeats) for phase in phases),
        )

    def keep(self, phase: TrainingPhase, model: RankingModel) -> None:
        """Keep the selected weights of a phase, if its refit starts from them."""
        if phase.name in self.repeated:
            self.selected[phase.name] = model

    def take(self, phase: TrainingPhase) -> RankingModel | None:
        """The model that a phase starts from; None: random weights. It is kept no longer."""
        return self.selected.pop(phase.repeats, None) if phase.repeats else None

    def epochs_of(self, phase: TrainingPhase, best: int | None) -> tuple[int, int]:
        """First and last epoch of a phase; `best` is the best epoch of the phase that it repeats."""
        if phase.name in self.names:
            return phase.max_epochs - max(1, phase.max_epochs // REPEATED_PART) + 1, phase.max_epochs
        return 1, best or phase.max_epochs
