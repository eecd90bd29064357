"""Pairs of a training, and which of them each phase is trained and validated on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.training.plan import TrainingPhase


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Training interactions, and the validation pairs among negatives."""

    train: Interactions
    held_out: Interactions  # the validation pairs
    validation: EvaluationSet

    @cached_property
    def all_pairs(self) -> Interactions:
        """Train and validation together, on which phases are refitted."""
        return self.train.union(self.held_out)


@dataclass(frozen=True, kw_only=True)
class PhaseData:
    """The pairs of each phase: a refit has those of train and validation, and nothing to be validated on.

    Attributes:
        training: the pairs of all phases.
        fitted_parts: pairs on which the parts are trained, without those that are withheld for the MLP over
            recent items; None: all of train.
    """

    training: TrainingData
    fitted_parts: Interactions | None = None

    def fitted(self, phase: TrainingPhase) -> Interactions:
        """The pairs on which the model of a phase is trained."""
        if self.fitted_parts is not None and phase.repeats is None:
            return self.fitted_parts
        return self.known(phase)

    def known(self, phase: TrainingPhase) -> Interactions:
        """The pairs that are known of the users: their histories."""
        return self.training.train if phase.repeats is None else self.training.all_pairs

    def validation(self, phase: TrainingPhase) -> EvaluationSet | None:
        """The validation pairs among negatives; None for a refit."""
        return self.training.validation if phase.repeats is None else None
