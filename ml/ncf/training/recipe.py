"""From interactions to a trained model: which stages run, in which order, and what each starts from.

one stage           the architecture under its objective
parts, fused        GMFs and, for NeuMF, an MLP, each trained alone; then one model of all (section 3.4.1)
... refit           the same once more on train and validation, for the epochs that validation chose
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from torch import Tensor

from ml.ncf.data.prepared_run import Interactions
from ml.ncf.evaluation import metrics
from ml.ncf.evaluation.evaluation_set import Candidates
from ml.ncf.model.ncf import NCF, HistoryOf, NCFConfig
from ml.ncf.objectives.catalogue import (
    CatalogueRows,
    Objective,
    RowSettings,
    SampledBCE,
    SampledCatalogueRows,
    Share,
    whole_histories,
)
from ml.ncf.training.checkpoint import Checkpoint
from ml.ncf.training.loop import Epoch, OnEpoch, Stage, best_epoch, fit
from ml.ncf.training.parts import Part, best_shares, parts_of
from ml.settings.hyperparameters import Architecture, Hyperparameters

WHOLE_CATALOGUE_ITEMS = 20_000  # a larger catalogue is sampled: a step's logits grow with batch size × items
HALF_LIVES = (math.inf, 64.0, 32.0, 16.0, 8.0, 4.0)  # of an item in a history, as they are tried


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model ready to serve, and how it came to be."""

    model: NCF
    epochs: list[Epoch]  # of every stage, in order
    best: Epoch  # whose weights validation chose


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a training depends on; `run` is deterministic in it."""

    train: Interactions
    held_out: Interactions  # the validation pairs
    validation: Candidates  # those pairs among negatives
    settings: Hyperparameters
    share: Share = field(default_factory=Share)
    checkpoints: Path | None = None
    on_epoch: OnEpoch = lambda *_: None

    def run(self) -> Trained:
        """Train, select on validation, refit where asked; the model comes back folded.

        Raises:
            ml.ncf.data.prepared_run.DataError: the data cannot be trained on.
            ml.ncf.training.loop.TrainingError: a loss or a weight is not finite.
            ml.ncf.training.checkpoint.CheckpointError: a checkpoint is of another training.
        """
        chosen = _Pass(self, self.train, self.validation).run()
        final = chosen
        if self.settings.refit:
            everything = self.train.union(self.held_out)
            final = _Pass(self, everything, None, chosen).run()
        epochs = chosen.epochs if final is chosen else [*chosen.epochs, *final.epochs]
        return Trained(model=final.model, epochs=epochs, best=chosen.best)


class _Pass:
    """All stages once, over one set of training pairs; with validation it selects, without it repeats."""

    def __init__(
        self,
        recipe: Recipe,
        train: Interactions,
        validation: Candidates | None,
        chosen: _Pass | None = None,
    ) -> None:
        self.recipe = recipe
        self.train = train
        self.validation = validation
        # What validation chose, by stage: the epoch after which to stop, the half-life in its histories.
        self.stops: dict[str, int] = dict(chosen.stops) if chosen else {}
        self.half_lives: dict[str, float] = dict(chosen.half_lives) if chosen else {}
        self.shares: list[float] = list(chosen.shares) if chosen else []  # a part
        self.epochs: list[Epoch] = []
        self.best: Epoch
        self._n_stages = 0

    def run(self) -> _Pass:
        settings = self.recipe.settings
        if settings.pretrain:
            self.model = self._from_parts(parts_of(settings))
        else:
            self.model = self._part(0, Part(settings.architecture, settings.architecture, settings))
        return self

    def _folded(self, stage: str, model: NCF) -> NCF:
        """The model as it is served; on the way, validation says how fast its histories fade."""
        if not model.config.history:
            return model
        if stage not in self.half_lives:
            self.half_lives[stage] = self._best_half_life(model)
        folded = model.folded(self._history_of(self.half_lives[stage]))
        if self.validation is not None:
            hit_rate, ndcg = self._quality(self.validation.scores(folded))
            self.best = replace(self.best, hit_rate=hit_rate, ndcg=ndcg)
        return folded

    def _best_half_life(self, model: NCF) -> float:
        validation = self.validation
        if validation is None or self.train.recency is None:
            return math.inf

        def ndcg(half_life: float) -> float:
            return self._quality(validation.scores(model, self._history_of(half_life)))[1]

        return max(HALF_LIVES, key=ndcg)

    def _quality(self, scores: Tensor) -> tuple[float, float]:
        """HR@k and NDCG@k of scores (C, 1 + N)."""
        ranks, k = metrics.rank_of_first(scores), self.recipe.settings.top_k
        return metrics.hit_rate(ranks, k), metrics.ndcg(ranks, k)

    def _from_parts(self, trainings: list[Part]) -> NCF:
        """Every part trained alone, then all under one last layer."""
        settings = self.recipe.settings
        parts = [self._part(position, training) for position, training in enumerate(trainings)]
        if not self.shares:
            if self.validation is None:
                raise ValueError("shares are chosen on validation")
            scores = [self.validation.scores(part) for part in parts]
            self.shares = best_shares(scores, lambda mixed: self._quality(mixed)[1])
        for_all = replace(
            settings,
            factor_num=sum(part.config.factor_num for part in parts if part.gmf is not None),
            history=False,  # each part's is folded
            epochs=max(1, settings.fused_epochs),
            lr=settings.fused_lr,
            patience=settings.fused_epochs + 1,
        )
        self.stops.setdefault("fused", settings.fused_epochs)
        fused = self._new(settings.architecture, for_all)
        fused.fuse(list(zip(parts, self.shares, strict=True)))
        return self._train("fused", fused, for_all, judge_start=True)

    def _part(self, position: int, part: Part) -> NCF:
        """A part alone; one that validation gave no share of the whole is not trained again."""
        model = self._new(part.architecture, part.settings)
        if self.shares and not self.shares[position]:
            self._n_stages += 1
            return model.folded(self._history_of()) if model.config.history else model
        return self._folded(part.name, self._train(part.name, model, part.settings))

    def _new(self, architecture: Architecture, settings: Hyperparameters | None = None) -> NCF:
        settings = settings or self.recipe.settings
        model = NCF(
            NCFConfig(
                n_users=self.train.n_users,
                n_items=self.train.n_items,
                architecture=architecture,
                factor_num=settings.factor_num,
                mlp_factor_num=settings.mlp_factor_num,
                num_layers=settings.num_layers,
                dropout=settings.dropout,
                history=settings.history,
            )
        )
        model.initialise(np.random.default_rng([settings.seed, self._n_stages]), settings.embedding_std)
        return model

    def _train(self, name: str, model: NCF, settings: Hyperparameters, judge_start: bool = False) -> NCF:
        """Train one stage's model in place."""
        label = name if self.validation is not None else f"{name}-refit"
        stage = Stage(
            name=label,
            number=self._n_stages,
            model=model,
            objective=self._objective(model, settings),
            settings=settings,
            validation=self.validation,
            judge_start=judge_start,
            stop_after=self.stops.get(name, settings.epochs),
            history_of=self._history_of() if settings.history else lambda _: None,
            share=self.recipe.share,
            checkpoint=self._checkpoint(label, settings),
            on_epoch=self.recipe.on_epoch,
        )
        self._n_stages += 1
        epochs = fit(stage)
        self.best = best_epoch(epochs)
        self.stops[name] = self.best.number
        self.epochs += epochs
        return model

    def _objective(self, model: NCF, settings: Hyperparameters) -> Objective:
        train, share, batch_size = self.train, self.recipe.share, settings.batch_size
        if settings.objective == "bce":
            return SampledBCE(train, batch_size, settings.n_negatives, share)
        rows = RowSettings(
            batch_size=batch_size,
            loss="softmax" if settings.objective == "softmax" else "bce",
            n_negatives=settings.n_negatives,
            n_shared=settings.n_shared_negatives,
            history_dropout=settings.history_dropout if settings.history else None,
        )
        # A dot product over a catalogue is one matrix product; an MLP over it is a pass a pair.
        small = model.mlp is None and train.n_items <= WHOLE_CATALOGUE_ITEMS
        if settings.coverage == "whole" or (settings.coverage == "auto" and small):
            return CatalogueRows(train, rows, share)
        return SampledCatalogueRows(train, rows, share)

    def _history_of(self, half_life: float = math.inf) -> HistoryOf:
        return partial(whole_histories, self.train, half_life=half_life)

    def _checkpoint(self, label: str, settings: Hyperparameters) -> Checkpoint | None:
        if self.recipe.checkpoints is None:
            return None
        identity = {
            **settings.as_dict(),
            "training pairs": self._digest,
            "processes": self.recipe.share.n_processes,
        }
        return Checkpoint(self.recipe.checkpoints / f"{label}.pt", identity)

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.train.indptr.tobytes() + self.train.indices.tobytes()).hexdigest()
