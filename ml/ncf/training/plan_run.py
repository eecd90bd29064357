"""State of a run of a training plan: how the model of a phase is built, selected on validation and folded."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ml.ncf.data.interactions import Interactions
from ml.ncf.data.sharding import ProcessRank
from ml.ncf.evaluation.evaluation_set import no_history
from ml.ncf.model.base import HistoryOf, RankingModel
from ml.ncf.model.registry import family_of
from ml.ncf.objectives.factory import objective_of
from ml.ncf.training.checkpoint import Checkpoint, CheckpointFolder
from ml.ncf.training.loop import (
    Epoch,
    IsUseless,
    OnEpoch,
    PhaseContext,
    best_epoch,
    is_never_useless,
    peak_memory_mib,
)
from ml.ncf.training.plan import TrainingPhase
from ml.ncf.training.recent_phase import RecentPhase, SelectedPart, no_mlp_sentence
from ml.ncf.training.refit import Refits
from ml.ncf.training.selection import Selection, Selector, history_of
from ml.ncf.training.training_data import PhaseData


@dataclass(kw_only=True)
class PlanRun:
    """State of a run: the models and selections of the finished phases."""

    data: PhaseData
    rank: ProcessRank
    checkpoints: CheckpointFolder | None
    selector: Selector
    refits: Refits
    models: dict[str, RankingModel] = field(default_factory=dict)  # by phase; removed when they are fused
    selections: dict[str, Selection] = field(default_factory=dict)  # by phase; shared with its refit
    epochs: list[Epoch] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    recent: RecentPhase | None = None  # None: the plan has no MLP over recent items, or there are no times

    def initial_model(self, phase: TrainingPhase) -> RankingModel:
        """The untrained model of a phase; a fused one with the weights of its parts."""
        if phase.parts:
            return self._fused(phase)
        selected = self.refits.take(phase)
        if selected is not None:
            return selected
        settings, train = phase.settings, self.data.fitted(phase)
        model = family_of(phase.architecture).from_settings(
            phase.architecture, settings, train.n_users, train.n_items
        )
        model.initialise(np.random.default_rng([settings.seed, phase.index]), settings)
        return model

    def _fused(self, phase: TrainingPhase) -> RankingModel:
        """The model of the parts that have a blend weight; the others are left out."""
        if phase.repeats is None:
            self._select_blend_weights(phase)
        weights = {part: self.selections[part].blend_weight for part in phase.parts}
        parts = [(self.models[part], weight) for part, weight in weights.items() if weight]
        for part in phase.parts:
            self.models.pop(part, None)
        return family_of(phase.architecture).fused(parts, phase.settings)

    def context(self, phase: TrainingPhase, model: RankingModel, on_epoch: OnEpoch) -> PhaseContext:
        """Arguments of the training loop for a phase."""
        settings, train = phase.settings, self.data.fitted(phase)
        repeated = self.selections.get(phase.repeats) if phase.repeats else None
        first_epoch, max_epochs = self.refits.epochs_of(phase, repeated.best.number if repeated else None)
        histories = history_of(self.data.known(phase)) if settings.history else no_history
        return PhaseContext(
            objective=objective_of(model, settings, train, self.rank),
            validation=self.data.validation(phase),
            max_epochs=max_epochs,
            first_epoch=first_epoch,
            history_of=histories,
            is_useless=self._gets_no_weight(phase, histories) if phase.beside else is_never_useless,
            rank=self.rank,
            checkpoint=self._checkpoint(phase),
            on_epoch=on_epoch,
        )

    def solve(self, phase: TrainingPhase, model: RankingModel, on_epoch: OnEpoch) -> list[Epoch]:
        """Fit a closed-form model, unless it is fitted already: one epoch without a loss."""
        began = time.perf_counter()
        if phase.name not in self.refits.names:
            model.fit(self.data.fitted(phase))
        values = {}
        if phase.repeats is None:
            histories = history_of(self.data.known(phase)) if model.uses_history else no_history
            values = self.selector.metrics_of(self.data.training.validation.scores(model, histories))
        epoch = Epoch(phase.name, 1, math.nan, values, time.perf_counter() - began, peak_memory_mib())
        on_epoch(epoch, model)
        return [epoch]

    def finish(self, phase: TrainingPhase, model: RankingModel, epochs: list[Epoch]) -> None:
        """Store the folded model and the selection of a trained phase."""
        self.epochs += epochs
        repeated = self.selections.get(phase.repeats) if phase.repeats else None
        self.selections[phase.name] = repeated or Selection(best=best_epoch(epochs))
        unfolded = model
        self.refits.keep(phase, unfolded)
        if model.uses_history:
            model = self._folded(phase, model)
        if self.recent is not None and phase.repeats is None and not phase.parts:
            self.recent.parts[phase.name] = unfolded
        if phase.repeats is not None:
            self.data.training.validation.logits(model)  # nothing is selected on it: only that it is finite
        self.models[phase.name] = model

    def add_recent_mlp(self, phase: TrainingPhase, on_epoch: OnEpoch) -> None:
        """Add the MLP over recent items to the model of `phase.base`, if validation says so."""
        base = self.models[phase.name] = self.models.pop(str(phase.base))
        if phase.repeats is not None:
            if self.recent is not None:
                rng = np.random.default_rng([phase.settings.seed, phase.index])
                self.models[phase.name] = self.recent.refitted(base, self.data.training.all_pairs, rng)
            return
        self.selections[phase.name] = self.selections[str(phase.base)]
        if self.recent is None:
            self.notes.append(no_mlp_sentence(self.data.training.train))
            return
        selected = {
            name: SelectedPart(each.history, each.blend_weight) for name, each in self.selections.items()
        }
        self.models[phase.name], epochs, best, note = self.recent.fit(
            phase, base, selected, self.data.training.validation
        )
        for epoch in epochs:
            on_epoch(epoch, self.models[phase.name])
        self.epochs += epochs
        self.notes.append(note)
        if self.models[phase.name] is not base:
            self.selections[phase.name] = Selection(best=best)

    def is_unused(self, phase: TrainingPhase) -> bool:
        """Whether the phase repeats a part to which validation gave a blend weight of 0."""
        return phase.repeats is not None and self.selections[phase.repeats].blend_weight == 0

    def skip(self, phase: TrainingPhase) -> None:
        """Train nothing: the part is left out of the fused model."""
        if phase.repeats is not None:
            self.refits.take(phase)
            self.selections[phase.name] = self.selections[phase.repeats]

    def _gets_no_weight(self, phase: TrainingPhase, histories: HistoryOf) -> IsUseless:
        return self.selector.gets_no_weight([self.models[part] for part in phase.beside], histories)

    def _select_blend_weights(self, phase: TrainingPhase) -> None:
        parts = [self.models[part] for part in phase.parts]
        weights = self.selector.blend_weights(parts)
        for part, weight in zip(phase.parts, weights, strict=True):
            self.selections[part].blend_weight = weight
        if len(parts) > 1:
            gains = self.selector.gains(parts, weights)
            self.notes.append(parts_sentence(phase.parts, weights, gains, phase.settings.top_k))

    def _folded(self, phase: TrainingPhase, model: RankingModel) -> RankingModel:
        """The model without history, with the weights of histories that validation selects."""
        selection, known = self.selections[phase.name], self.data.known(phase)
        if phase.repeats is not None:
            return model.folded(history_of(known, selection.history))
        selection.history = self.selector.history_weights(model, known)
        folded = model.folded(history_of(known, selection.history))
        found = self.selector.metrics_of(self.data.training.validation.scores(folded))
        selection.best = replace(selection.best, metrics=found)
        return folded

    def _checkpoint(self, phase: TrainingPhase) -> Checkpoint | None:
        if self.checkpoints is None:
            return None
        identity = {
            **self.checkpoints.identity,
            **phase.settings.as_dict(),
            "training pairs": _digest(self.data.fitted(phase)),
            "processes": self.rank.world_size,
            "torch": str(torch.__version__),
        }
        return Checkpoint(self.checkpoints.path / f"{phase.name}.pt", identity)


def parts_sentence(parts: Sequence[str], weights: Sequence[float], gains: Sequence[float], k: int) -> str:
    """Which parts a blend has, and what each changes on validation; a part without a weight is left out."""
    shares = [
        f"{part} {gain:+.4f}" for part, weight, gain in zip(parts, weights, gains, strict=True) if weight
    ]
    left_out = [part for part, weight in zip(parts, weights, strict=True) if not weight]
    rest = f"; left out: {', '.join(left_out)}" if left_out else ""
    return f"Parts in use, and what each adds to validation NDCG@{k}: {', '.join(shares)}{rest}."


def _digest(train: Interactions) -> str:
    return hashlib.sha256(train.indptr.tobytes() + train.indices.tobytes()).hexdigest()
