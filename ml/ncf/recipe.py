"""From interactions to a trained model: which stages run, in which order, and what each starts from.

one stage           the architecture under its objective
gmf, mlp, neumf     NeuMF from separately trained towers, then trained on together (section 3.4.1)
... refit           the same once more on train and validation, for the epochs that validation chose
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from ml.ncf import metrics
from ml.ncf.checkpoint import Checkpoint
from ml.ncf.data import Interactions
from ml.ncf.hyperparameters import Hyperparameters
from ml.ncf.model import NCF, Architecture, HistoryOf, NCFConfig
from ml.ncf.objectives import (
    CatalogueRows,
    Objective,
    RowSettings,
    SampledBCE,
    SampledCatalogueRows,
    Share,
    whole_histories,
)
from ml.ncf.ranking import Candidates
from ml.ncf.trainer import Epoch, OnEpoch, Stage, best_epoch, fit

WHOLE_CATALOGUE_ITEMS = 20_000  # a larger catalogue is sampled: a step's logits grow with batch size × items
GMF_SHARES = tuple(round(0.05 * step, 2) for step in range(21))  # α, tried when towers are fused


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
            ml.ncf.data.DataError: the data cannot be trained on.
            ml.ncf.trainer.TrainingError: a loss or a weight is not finite.
            ml.ncf.checkpoint.CheckpointError: a checkpoint is of another training.
        """
        chosen = _Pass(self, self.train, self.validation).run()
        final = chosen
        if self.settings.refit:
            everything = self.train.union(self.held_out)
            final = _Pass(self, everything, None, stops=chosen.stops, gmf_share=chosen.gmf_share).run()
        epochs = chosen.epochs if final is chosen else [*chosen.epochs, *final.epochs]
        return Trained(model=final.folded(), epochs=epochs, best=chosen.best)


class _Pass:
    """All stages once, over one set of training pairs; with validation it selects, without it repeats."""

    def __init__(
        self,
        recipe: Recipe,
        train: Interactions,
        validation: Candidates | None,
        stops: Mapping[str, int] | None = None,
        gmf_share: float | None = None,
    ) -> None:
        self.recipe = recipe
        self.train = train
        self.validation = validation
        self.stops = dict(stops or {})  # by stage: the epoch after which to stop
        self.gmf_share = gmf_share
        self.epochs: list[Epoch] = []
        self._n_stages = 0

    def run(self) -> _Pass:
        settings = self.recipe.settings
        if settings.pretrain and settings.architecture == "neumf":
            self.model = self._neumf_from_towers()
        else:
            self.model = self._train(settings.architecture, self._new(settings.architecture), settings)
        return self

    def folded(self) -> NCF:
        return self.model.folded(self._history_of) if self.model.config.history else self.model

    def _neumf_from_towers(self) -> NCF:
        """GMF and MLP, each trained alone, then both under one last layer."""
        settings = self.recipe.settings
        for_mlp = replace(
            settings,
            epochs=settings.mlp_epochs,
            lr=settings.mlp_lr,
            weight_decay=settings.mlp_weight_decay,
            dropout=settings.mlp_dropout,
        )
        gmf = self._train("gmf", self._new("gmf"), settings)
        mlp = self._train("mlp", self._new("mlp", for_mlp), for_mlp)
        if self.gmf_share is None:
            self.gmf_share = self._best_share(gmf, mlp)
        neumf = self._new("neumf")
        neumf.fuse(gmf, mlp, self.gmf_share)
        for_both = replace(
            settings, epochs=settings.fused_epochs, lr=settings.fused_lr, patience=settings.fused_epochs + 1
        )
        return self._train("neumf", neumf, for_both, judge_start=True)

    def _best_share(self, gmf: NCF, mlp: NCF) -> float:
        """α of the last layer [α h_GMF; (1 - α) h_MLP]: the paper fixes 0.5, here validation chooses."""
        assert self.validation is not None  # noqa: S101 -- a pass without validation is given its share
        by_gmf = self.validation.scores(gmf, self._history_of)
        by_mlp = self.validation.scores(mlp, self._history_of)
        top_k = self.recipe.settings.top_k

        def quality(share: float) -> float:
            return metrics.ndcg(metrics.rank_of_first(share * by_gmf + (1 - share) * by_mlp), top_k)

        return max(GMF_SHARES, key=quality)

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
            history_of=self._history_of if settings.history else lambda _: None,
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

    @property
    def _history_of(self) -> HistoryOf:
        return partial(whole_histories, self.train)

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
