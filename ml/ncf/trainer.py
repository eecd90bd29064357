"""The training loop: epochs over an objective, selection on validation, the best weights kept."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ml.ncf import metrics
from ml.ncf.data import DataError, Interactions
from ml.ncf.hyperparameters import Hyperparameters
from ml.ncf.model import NCF
from ml.ncf.objectives import Objective
from ml.ncf.sampling import UnseenSampler

ONE_CYCLE_WARM_UP = 0.2  # share of the steps in which a one-cycle rate rises (Smith and Topin 2018)
SCORING_BATCH = 1024  # users scored at once outside training


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says at which step and why."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Held-out items among sampled negatives: row c ranks `items[c, 0]` against the rest for `users[c]`."""

    users: Tensor  # (C,)
    items: Tensor  # (C, 1 + N)

    @classmethod
    def sampled(
        cls, held_out: Interactions, seen: Interactions, n_negatives: int, rng: np.random.Generator
    ) -> Candidates:
        """Each held-out pair with different negatives that its user has seen in no part of `seen`.

        Raises:
            DataError: a user has fewer unseen items than that.
        """
        if not len(held_out):
            raise DataError("no held-out pairs to rank")
        users = held_out.users.astype(np.int64)
        negatives = UnseenSampler(seen).sample_distinct(users, n_negatives, rng)
        items = np.concatenate([held_out.indices[:, None].astype(np.int64), negatives], axis=1)
        return cls(torch.from_numpy(users), torch.from_numpy(items))

    def scores(self, model: NCF) -> Tensor:
        """The model's logits: (C, 1 + N)."""
        was_training = model.training
        model.eval()
        with torch.inference_mode():
            parts = [
                model(users, items)
                for users, items in zip(
                    self.users.split(SCORING_BATCH), self.items.split(SCORING_BATCH), strict=True
                )
            ]
        model.train(was_training)
        return torch.cat(parts).float()


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; the metrics are on validation."""

    number: int  # from 1
    loss: float
    hit_rate: float
    ndcg: float
    seconds: float  # since training began


def fit(
    model: NCF,
    objective: Objective,
    validation: Candidates,
    settings: Hyperparameters,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> list[Epoch]:
    """Train in place until the epochs or the patience run out, then restore the best epoch's weights.

    The best epoch is the one with the highest validation NDCG@k. Deterministic given the model's weights, the
    settings' seed and the number of threads.

    Raises:
        TrainingError: a loss that is not finite, or a model that ends no better than it can be scored.
    """
    rng = np.random.default_rng(settings.seed)
    torch.manual_seed(settings.seed)  # dropout has no generator of its own
    optimizer, schedule = _optimizer(model, settings, settings.epochs * objective.n_steps)
    began = time.perf_counter()
    epochs: list[Epoch] = []
    best: dict[str, Tensor] = {}
    for number in range(1, settings.epochs + 1):
        loss = _train_epoch(
            model,
            objective,
            optimizer=optimizer,
            schedule=schedule,
            settings=settings,
            rng=rng,
            number=number,
        )
        ranks = metrics.rank_of_first(validation.scores(model))
        epoch = Epoch(
            number=number,
            loss=loss,
            hit_rate=metrics.hit_rate(ranks, settings.top_k),
            ndcg=metrics.ndcg(ranks, settings.top_k),
            seconds=time.perf_counter() - began,
        )
        epochs.append(epoch)
        on_epoch(epoch)
        if epoch is best_epoch(epochs):
            best = copy.deepcopy(model.state_dict())
        elif number - best_epoch(epochs).number >= settings.patience:
            break
    model.load_state_dict(best)
    return epochs


def best_epoch(epochs: list[Epoch]) -> Epoch:
    """The earliest epoch with the highest validation NDCG."""
    return max(epochs, key=lambda epoch: epoch.ndcg)


def _optimizer(
    model: NCF, settings: Hyperparameters, n_steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer]
    optimizer = kind(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    schedule: torch.optim.lr_scheduler.LRScheduler
    if settings.schedule == "one-cycle":
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, settings.lr, total_steps=n_steps, pct_start=ONE_CYCLE_WARM_UP
        )
    else:
        schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return optimizer, schedule


def _train_epoch(
    model: NCF,
    objective: Objective,
    *,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    settings: Hyperparameters,
    rng: np.random.Generator,
    number: int,
) -> float:
    """One pass over the objective's batches; the mean loss a step."""
    model.train()
    total = 0.0
    for step, batch in enumerate(objective.batches(rng), start=1):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced_precision(settings.precision)):
            loss = objective.loss(model, batch)
        loss.backward()
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(f"epoch {number}, step {step}: the loss is {value}; lower the learning rate")
        optimizer.step()
        schedule.step()
        total += value
    return total / objective.n_steps


def reduced_precision(precision: str) -> bool:
    """Whether matrix products run in bfloat16; `auto` says so where the processor multiplies it natively."""
    native = torch.cpu.get_capabilities().get("avx512_bf16", False) or torch.cpu.get_capabilities().get(
        "amx_bf16", False
    )
    return precision == "bfloat16" or (precision == "auto" and native)
