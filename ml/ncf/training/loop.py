"""The training loop: epochs over an objective, selection on validation, the best weights kept."""

from __future__ import annotations

import copy
import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ml.ncf.evaluation import metrics
from ml.ncf.evaluation.evaluation_set import Candidates
from ml.ncf.model.ncf import NCF, HistoryOf
from ml.ncf.objectives.catalogue import Objective, Share
from ml.ncf.training.checkpoint import Checkpoint
from ml.ncf.training.console import Progress
from ml.ncf.training.distributed import average_gradients, mean_over_terms
from ml.ncf.training.optimizer import Optimizers
from ml.settings.hyperparameters import Hyperparameters


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says at which step and why."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; the metrics are on validation."""

    stage: str
    number: int  # from 1
    loss: float
    hit_rate: float
    ndcg: float
    seconds: float  # of this stage so far
    peak_memory_mib: float


OnEpoch = Callable[[Epoch, NCF], None]  # the model as it is after the epoch


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One model to train: what on, how it is judged, and what happens around it."""

    name: str
    number: int  # which of the training's stages: its random numbers are its own
    model: NCF
    objective: Objective
    settings: Hyperparameters
    validation: Candidates | None  # None: no selection, the last epoch is kept
    stop_after: int  # epochs, of the settings' that the rate schedule is made for
    judge_start: bool = False  # the weights it starts from are a candidate too, as epoch 0
    history_of: HistoryOf = lambda _: None
    share: Share = field(default_factory=Share)
    checkpoint: Checkpoint | None = None
    on_epoch: OnEpoch = lambda *_: None


def fit(stage: Stage) -> list[Epoch]:
    """Train the model in place until the epochs or the patience run out; keep the best epoch's weights.

    The best epoch has the highest validation NDCG@k. Repeatable: given the model's weights, the settings and
    the number of processes and threads, the result is the same, also after a kill and a resume.

    Raises:
        TrainingError: a loss or a gradient that is not finite.
        ml.ncf.training.checkpoint.CheckpointError: the checkpoint is of another training.
    """
    optimizers = Optimizers(stage.model, stage.settings, stage.settings.epochs * stage.objective.n_steps)
    epochs, best, spent = _resume(stage, optimizers)
    began = time.perf_counter() - spent
    number = epochs[-1].number if epochs else 0
    if stage.judge_start and not epochs:
        epochs.append(_judged(stage, 0, math.nan, time.perf_counter() - began))
        best = copy.deepcopy(stage.model.state_dict())
        stage.on_epoch(epochs[-1], stage.model)
    while number < stage.stop_after and not _out_of_patience(epochs, stage.settings.patience):
        number += 1
        loss = _train_epoch(stage, optimizers, number)
        epoch = _judged(stage, number, loss, time.perf_counter() - began)
        epochs.append(epoch)
        if epoch is best_epoch(epochs):
            best = copy.deepcopy(stage.model.state_dict())
        if stage.checkpoint is not None and stage.share.rank == 0:
            stage.checkpoint.save(
                {
                    "epochs": [asdict(each) for each in epochs],
                    "model": stage.model.state_dict(),
                    "best": best,
                    "optimizers": optimizers.state_dict(),
                }
            )
        stage.on_epoch(epoch, stage.model)
    stage.model.load_state_dict(best)
    return epochs


def best_epoch(epochs: list[Epoch]) -> Epoch:
    """The earliest epoch with the highest validation NDCG; the last one where nothing was validated."""
    if math.isnan(epochs[-1].ndcg):
        return epochs[-1]
    return max(epochs, key=lambda epoch: epoch.ndcg)


def _out_of_patience(epochs: list[Epoch], patience: int) -> bool:
    return bool(epochs) and epochs[-1].number - best_epoch(epochs).number >= patience


def _resume(stage: Stage, optimizers: Optimizers) -> tuple[list[Epoch], dict[str, Tensor], float]:
    """Epochs so far, the best weights so far, and the seconds that they took."""
    state: dict[str, Any] | None = stage.checkpoint.load() if stage.checkpoint is not None else None
    if state is None:
        return [], {}, 0.0
    stage.model.load_state_dict(state["model"])
    optimizers.load_state_dict(state["optimizers"])
    epochs = [Epoch(**each) for each in state["epochs"]]
    return epochs, state["best"], epochs[-1].seconds


def _train_epoch(stage: Stage, optimizers: Optimizers, number: int) -> float:
    """One pass over the objective's batches; the mean loss a step.

    Each epoch starts its own generators from the seed, the stage and its number: nothing random outlives an
    epoch, so a checkpoint needs no generator's state.
    """
    key = [stage.settings.seed, stage.number, number]
    draws = np.random.Generator(np.random.SFC64([*key, 1 + stage.share.rank]))
    stage.model.train()
    stage.model.use(draws)
    reduced = reduced_precision(stage.settings.precision)
    total = 0.0
    with Progress(f"{stage.name}, epoch {number}", stage.objective.n_steps) as progress:
        for step, batch in enumerate(stage.objective.batches(np.random.default_rng(key), draws), start=1):
            optimizers.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
                loss, n_terms = stage.objective.loss(stage.model, batch)
            weighted, whole = mean_over_terms(loss, n_terms)
            weighted.backward()
            average_gradients(stage.model)
            value = whole.item()
            if not math.isfinite(value):
                raise TrainingError(
                    f"{stage.name}: epoch {number}, step {step}: the loss is {value}; lower the learning rate"
                )
            optimizers.step()
            total += value
            progress.advance()
    _require_finite(stage.model, f"{stage.name}: epoch {number}, step {stage.objective.n_steps}")
    return total / stage.objective.n_steps


def _require_finite(model: NCF, where: str) -> None:
    """A gradient that overflows leaves weights that do, and the next loss may hide it behind -inf logits."""
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter.sum()):
            raise TrainingError(f"{where}: {name} is not finite any more; lower the learning rate")


def _judged(stage: Stage, number: int, loss: float, seconds: float) -> Epoch:
    hit_rate = ndcg = math.nan
    if stage.validation is not None:
        ranks = metrics.rank_of_first(stage.validation.scores(stage.model, stage.history_of))
        hit_rate = metrics.hit_rate(ranks, stage.settings.top_k)
        ndcg = metrics.ndcg(ranks, stage.settings.top_k)
    return Epoch(stage.name, number, loss, hit_rate, ndcg, seconds, peak_memory_mib())


def peak_memory_mib() -> float:
    """The most memory that this process has held."""
    kib_or_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib_or_bytes / (2**20 if sys.platform == "darwin" else 2**10)


def reduced_precision(precision: str) -> bool:
    """Whether matrix products run in bfloat16; `auto`: where the processor multiplies it natively."""
    if precision == "auto":
        able = torch.cpu.get_capabilities()
        return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return precision == "bfloat16"
