"""From interactions to a trained model: which stages run, in which order, and what each starts from.

one stage           the architecture under its objective
parts, fused        GMFs and, for NeuMF, an MLP, each trained alone; then one model of all (section 3.4.1)
... refit           the same once more on train and validation, for the epochs that validation chose
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import product
from pathlib import Path

import numpy as np
import torch

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
SHARES = tuple(step / 10 for step in range(11))  # of a part in the last layer, as they are tried


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
            final = _Pass(self, everything, None, stops=chosen.stops, shares=chosen.shares).run()
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
        shares: Sequence[float] = (),
    ) -> None:
        self.recipe = recipe
        self.train = train
        self.validation = validation
        self.stops = dict(stops or {})  # by stage: the epoch after which to stop
        self.shares = list(shares)
        self.epochs: list[Epoch] = []
        self._n_stages = 0

    def run(self) -> _Pass:
        settings = self.recipe.settings
        if settings.pretrain:
            self.model = self._from_parts(_parts(settings))
        else:
            self.model = self._train(settings.architecture, self._new(settings.architecture), settings)
        return self

    def folded(self) -> NCF:
        """The model as it is served."""
        return self._folded(self.model)

    def _folded(self, model: NCF) -> NCF:
        return model.folded(self._history_of) if model.config.history else model

    def _from_parts(self, trainings: list[Part]) -> NCF:
        """Every part trained alone, then all under one last layer."""
        settings = self.recipe.settings
        parts = [self._part(position, training) for position, training in enumerate(trainings)]
        if not self.shares:
            self.shares = self._best_shares(parts)
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
            return self._folded(model)
        return self._folded(self._train(part.name, model, part.settings))

    def _best_shares(self, parts: list[NCF]) -> list[float]:
        """Each part's share of the last layer: the paper fixes 1/2, here validation chooses.

        Logits of parts trained under different losses have different scales: each is first brought to the
        scale of the first part, whose loss trains them on.
        """
        if self.validation is None:
            raise ValueError("shares are chosen on validation")
        scores = [self.validation.scores(part) for part in parts]
        scales = [float(scores[0].std() / each.std().clamp(min=1e-6)) for each in scores]
        top_k = self.recipe.settings.top_k

        def quality(shares: tuple[float, ...]) -> float:
            mixed = torch.zeros_like(scores[0])
            for share, scale, each in zip(shares, scales, scores, strict=True):
                mixed.add_(each, alpha=share * scale)
            return metrics.ndcg(metrics.rank_of_first(mixed), top_k)

        best = max((s for s in product(SHARES, repeat=len(parts)) if abs(sum(s) - 1) < 1e-6), key=quality)
        return [share * scale for share, scale in zip(best, scales, strict=True)]

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


@dataclass(frozen=True)
class Part:
    """A part of a pretrained model, and the settings of its own training."""

    name: str
    architecture: Architecture
    settings: Hyperparameters


def _parts(settings: Hyperparameters) -> list[Part]:
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
