"""Training loop of one phase: epochs over an objective, selection on validation, the best weights kept."""

from __future__ import annotations

import copy
import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ml.ncf.data.sharding import SINGLE_PROCESS, ProcessRank
from ml.ncf.evaluation import metrics
from ml.ncf.evaluation.evaluation_set import EvaluationSet, no_history
from ml.ncf.model.base import HistoryOf, RankingModel
from ml.ncf.model.finite import NotFiniteError
from ml.ncf.objectives.base import Objective
from ml.ncf.training.checkpoint import Checkpoint
from ml.ncf.training.console import Progress
from ml.ncf.training.distributed import average_gradients, mean_over_terms
from ml.ncf.training.optimizer import Optimizers
from ml.ncf.training.plan import TrainingPhase
from ml.settings.hyperparameters import Hyperparameters

BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})  # native bfloat16 products (Linux, cpufeatures.h)
N_VALIDATIONS = 10  # of a phase with a one-cycle schedule


class TrainingError(RuntimeError):
    """The training cannot continue; the message names the phase, the epoch, the step and the reason."""


@dataclass(frozen=True)
class Epoch:
    """Result of one epoch; the metrics are those of the validation split."""

    phase: str
    number: int  # from 1; 0: the weights that a fused model starts from
    loss: float  # NaN if nothing was trained
    metrics: dict[str, float]  # by name (`ml.ncf.evaluation.metrics`); empty without validation
    seconds: float  # since the start of the phase
    peak_memory_mib: float

    @property
    def hit_rate(self) -> float:
        return self.metrics.get("hr", math.nan)

    @property
    def ndcg(self) -> float:
        return self.metrics.get("ndcg", math.nan)


OnEpoch = Callable[[Epoch, RankingModel], None]  # called with the model after the epoch


def ignore_epoch(epoch: Epoch, model: RankingModel) -> None:
    """`OnEpoch` that does nothing."""
    del epoch, model


IsUseless = Callable[[RankingModel], bool]  # whether training ends because the model will not be used


def is_never_useless(model: RankingModel) -> bool:
    """`IsUseless` of a model that is used in any case."""
    del model
    return False


@dataclass(frozen=True, kw_only=True)
class PhaseContext:
    """Arguments of `fit` in addition to the phase and the model."""

    objective: Objective
    validation: EvaluationSet | None  # None: no selection, the weights of the last epoch are kept
    max_epochs: int
    first_epoch: int = 1  # of the schedule; above 1 for trained weights
    history_of: HistoryOf = no_history
    rank: ProcessRank = SINGLE_PROCESS
    checkpoint: Checkpoint | None = None
    on_epoch: OnEpoch = ignore_epoch
    is_useless: IsUseless = is_never_useless


def fit(phase: TrainingPhase, model: RankingModel, context: PhaseContext) -> list[Epoch]:
    """Train the model in place until epochs or patience run out, or it is useless; keep the best weights.

    The best epoch has the highest validation NDCG@k; epoch 0 stands for the initial weights of a fused model.
    The result depends only on the initial weights, the settings and the numbers of processes and threads,
    also after an interruption and a resume.

    Raises:
        TrainingError: a loss, a weight or a score is not finite.
    """
    n_steps, done = context.objective.n_steps, context.first_epoch - 1
    optimizers = Optimizers(model, phase.settings, phase.settings.epochs * n_steps, n_done=done * n_steps)
    epochs, best, spent = _resume(model, optimizers, context.checkpoint)
    began = time.perf_counter() - spent

    def seconds() -> float:
        return time.perf_counter() - began

    number = epochs[-1].number if epochs else done
    if phase.parts and not epochs:
        epochs.append(
            evaluated(phase, model, context, context.validation, number=0, loss=math.nan, seconds=seconds())
        )
        best = copy.deepcopy(model.state_dict())
        context.on_epoch(epochs[-1], model)
    while number < context.max_epochs and not (
        _out_of_patience(epochs, phase.settings.patience) or (epochs and context.is_useless(model))
    ):
        number += 1
        loss = train_epoch(phase, model, optimizers, number, context)
        validation = context.validation if is_validated(phase.settings, number, context.max_epochs) else None
        epoch = evaluated(phase, model, context, validation, number=number, loss=loss, seconds=seconds())
        epochs.append(epoch)
        if epoch is best_epoch(epochs):
            best = copy.deepcopy(model.state_dict())
        if context.checkpoint is not None and context.rank.rank == 0:
            context.checkpoint.save_or_warn(
                {
                    "epochs": [asdict(each) for each in epochs],
                    "model": model.state_dict(),
                    "best": best,
                    "optimizers": optimizers.state_dict(),
                }
            )
        context.on_epoch(epoch, model)
    model.load_state_dict(best)
    return epochs


def is_validated(settings: Hyperparameters, number: int, max_epochs: int) -> bool:
    """Whether an epoch (from 1) of at most `max_epochs` is validated.

    With a constant learning rate, every epoch. A one-cycle schedule reaches its best epochs at its end, where
    they hardly differ: about `N_VALIDATIONS` epochs at equal distances, the last one among them.
    """
    if settings.schedule == "constant":
        return True
    return (max_epochs - number) % max(1, settings.epochs // N_VALIDATIONS) == 0


def best_epoch(epochs: list[Epoch]) -> Epoch:
    """The first epoch with the highest validation NDCG; the last epoch if nothing was validated."""
    validated = [epoch for epoch in epochs if not math.isnan(epoch.ndcg)]
    return max(validated, key=lambda epoch: epoch.ndcg) if validated else epochs[-1]


def _out_of_patience(epochs: list[Epoch], patience: int) -> bool:
    return bool(epochs) and epochs[-1].number - best_epoch(epochs).number >= patience


def _resume(
    model: RankingModel, optimizers: Optimizers, checkpoint: Checkpoint | None
) -> tuple[list[Epoch], dict[str, Tensor], float]:
    """Epochs of the checkpoint, the weights of the best one, and the seconds that they took."""
    state: dict[str, Any] | None = checkpoint.load_or_warn() if checkpoint is not None else None
    if state is None:
        return [], {}, 0.0
    model.load_state_dict(state["model"])
    optimizers.load_state_dict(state["optimizers"])
    epochs = [Epoch(**each) for each in state["epochs"]]
    return epochs, state["best"], epochs[-1].seconds


def train_epoch(
    phase: TrainingPhase, model: RankingModel, optimizers: Optimizers, number: int, context: PhaseContext
) -> float:
    """Train one epoch; the mean loss per step.

    The generators of an epoch are seeded with the seed, the phase's index and the epoch's number, so that a
    checkpoint needs no generator state.

    Raises:
        TrainingError: a loss or a weight is not finite.
    """
    objective = context.objective
    key = [phase.settings.seed, phase.index, number]
    draws = np.random.Generator(np.random.SFC64([*key, 1 + context.rank.rank]))
    model.train()
    model.use_dropout_generator(draws)
    is_bfloat16 = uses_bfloat16(phase.settings.precision)
    total = 0.0
    with Progress(f"{phase.name}, epoch {number}", objective.n_steps) as progress:
        for step, batch in enumerate(objective.batches(np.random.default_rng(key), draws), start=1):
            optimizers.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=is_bfloat16):
                loss, n_terms = objective.loss(model, batch)
            local, overall = mean_over_terms(loss, n_terms)
            local.backward()
            average_gradients(model)
            value = overall.item()
            if not math.isfinite(value):
                raise TrainingError(
                    f"{phase.name}: epoch {number}, step {step}: the loss is {value}; lower the learning rate"
                )
            optimizers.step()
            total += value
            progress.advance()
    _require_finite(model, f"{phase.name}: epoch {number}, step {objective.n_steps}")
    return total / objective.n_steps


def _require_finite(model: RankingModel, where: str) -> None:
    """Raise TrainingError if a weight is not finite: the loss can stay finite while logits are -inf."""
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter.sum()):
            raise TrainingError(f"{where}: {name} is not finite; lower the learning rate")


def evaluated(
    phase: TrainingPhase,
    model: RankingModel,
    context: PhaseContext,
    validation: EvaluationSet | None,
    *,
    number: int,
    loss: float,
    seconds: float,
) -> Epoch:
    """The record of an epoch, with the metrics of the model on `validation`; None: without metrics.

    Raises:
        TrainingError: a score is not finite.
    """
    values: dict[str, float] = {}
    if validation is not None:
        try:
            scores = validation.scores(model, context.history_of)
        except NotFiniteError as error:
            raise TrainingError(f"{phase.name}: epoch {number}: {error}; lower the learning rate") from error
        values = metrics.of_scores(scores, phase.settings.top_k)
    return Epoch(phase.name, number, loss, values, seconds, peak_memory_mib())


def peak_memory_mib() -> float:
    """Maximum resident set size of this process."""
    kib_or_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib_or_bytes / (2**20 if sys.platform == "darwin" else 2**10)


def uses_bfloat16(precision: str) -> bool:
    """Whether matrix products use bfloat16; with `auto`, if the processor multiplies it natively."""
    if precision == "auto":
        return not BFLOAT16_FLAGS.isdisjoint(cpu_flags())
    return precision == "bfloat16"


@cache
def cpu_flags() -> frozenset[str]:
    """Instruction set extensions of the processor, as the Linux kernel names them; empty on other systems.

    `torch.cpu.get_capabilities` has them too, but only from torch 2.11 on: the training container has 2.6.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())
