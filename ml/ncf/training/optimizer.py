"""AdamW with row-wise updates of embedding tables.

A step has gradients for a few thousand rows of tables that may have millions. Dense Adam reads and writes all
rows, and keeps two tables of moments; the cost of a row-wise step is proportional to the rows with a
gradient.

* Moments and decay of a row advance only when the row has a gradient ("lazy" Adam, as
  torch.optim.SparseAdam).
* The second moment is one number per row, the mean over its elements, as in the row-wise optimizers of
  torchrec and FBGEMM: a table of D columns needs D + 2 extra numbers per row, not 2 D.

With a catalogue objective each user is in one batch per epoch. User tables are then updated row-wise
regardless of their size: dense decay would act once per step, so its strength would grow with the number of
users.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ml.ncf.model.base import RankingModel
from ml.settings.hyperparameters import Hyperparameters

ROW_WISE_ELEMENTS = 2**24  # larger tables are updated row-wise: a dense step would cost more than its batch
# User rows are updated once per epoch, so their learning rate and weight decay are scaled by this factor.
USER_ROW_FACTOR = 5.0  # chosen on validation: docs/adr/0007
WARM_UP = 0.2  # fraction of the steps in which a one-cycle learning rate rises
# Initial fraction of the peak rate: 1/25, the default of torch.optim.lr_scheduler.OneCycleLR.
START_RATE = 0.04


class RowWiseAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter 2019, "Decoupled weight decay regularization") for sparse gradients."""

    def __init__(
        self,
        tables: Iterable[Tensor] | list[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(tables, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update the rows that have a gradient."""
        if closure is not None:
            raise ValueError("RowWiseAdamW takes no closure")
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._update(table, group)

    def _update(self, table: Tensor, group: dict[str, Any]) -> None:
        state = self.state[table]
        if not state:
            state["steps"] = torch.zeros(len(table), dtype=torch.int32)  # number of updates of each row
            state["mean"] = torch.zeros_like(table)
            state["square"] = torch.zeros(len(table))
        assert table.grad is not None  # noqa: S101 -- step has checked
        gradient = table.grad.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
        beta_mean, beta_square = group["betas"]

        steps = state["steps"].index_select(0, rows) + 1
        mean = state["mean"].index_select(0, rows).lerp_(values, 1 - beta_mean)
        square = state["square"].index_select(0, rows).lerp_(values.square().mean(1), 1 - beta_square)
        state["steps"].index_copy_(0, rows, steps)
        state["mean"].index_copy_(0, rows, mean)
        state["square"].index_copy_(0, rows, square)

        # Bias correction by the number of updates of the row.
        unbiased = square / -torch.expm1(steps * math.log(beta_square))
        scale = group["lr"] / (-torch.expm1(steps * math.log(beta_mean)) * (unbiased.sqrt() + group["eps"]))
        weights = table.index_select(0, rows)
        if group["weight_decay"]:
            weights.mul_(1 - group["lr"] * group["weight_decay"])
        table.index_copy_(0, rows, weights.addcmul_(mean, scale.unsqueeze(1), value=-1))


class Optimizers:
    """Optimizers of all parameters of a model, with one learning rate schedule.

    Args:
        model: the model; `sparse` is set on the embeddings that are updated row-wise.
        settings: hyperparameters of the phase.
        n_steps: length of the schedule.
        n_done: steps of the schedule before the first one.
        row_wise_elements: tables with more elements are updated row-wise.
    """

    def __init__(
        self,
        model: RankingModel,
        settings: Hyperparameters,
        n_steps: int,
        *,
        n_done: int = 0,
        row_wise_elements: int = ROW_WISE_ELEMENTS,
    ) -> None:
        user_tables = model.user_tables() if settings.objective != "bce" else []
        of_users, large = _row_wise_tables(model, user_tables, row_wise_elements)
        is_row_wise = {id(table) for table in (*of_users, *large)}
        rest = [p for p in model.parameters() if p.requires_grad and id(p) not in is_row_wise]
        rate, decay, betas = settings.lr, settings.weight_decay, (0.9, settings.beta2)
        dense = [
            {"params": [p for p in rest if p.dim() > 1], "weight_decay": decay},
            {"params": [p for p in rest if p.dim() <= 1], "weight_decay": 0.0},  # biases, h
        ]
        row_wise = [
            {"params": of_users, "lr": rate * USER_ROW_FACTOR, "weight_decay": decay * USER_ROW_FACTOR},
            {"params": large, "weight_decay": decay},
        ]
        self._all: list[torch.optim.Optimizer] = []
        if rest:
            self._all.append(torch.optim.AdamW(dense, rate, betas=betas, fused=True))
        if is_row_wise:
            self._all.append(RowWiseAdamW(row_wise, rate, betas))
        self._schedules = [_schedule(optimizer, settings, n_steps, n_done) for optimizer in self._all]

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._all[0].param_groups[0]["lr"])

    def zero_grad(self) -> None:
        for optimizer in self._all:
            optimizer.zero_grad()

    def step(self) -> None:
        """Update the weights, then the learning rate."""
        for optimizer in self._all:
            optimizer.step()
        for schedule in self._schedules:
            schedule.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [each.state_dict() for each in self._stateful()]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for each, state in zip(self._stateful(), states, strict=True):
            each.load_state_dict(state)

    def _stateful(self) -> list[torch.optim.Optimizer | torch.optim.lr_scheduler.LRScheduler]:
        return [*self._all, *self._schedules]


def _row_wise_tables(
    model: RankingModel, user_tables: list[nn.Embedding], row_wise_elements: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Weights of the tables to update row-wise: the user tables, and other large tables."""
    is_of_users = {id(table) for table in user_tables}
    of_users: list[Tensor] = []
    large: list[Tensor] = []
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.sparse = id(module) in is_of_users or module.weight.numel() > row_wise_elements
            if module.sparse:
                (of_users if id(module) in is_of_users else large).append(module.weight)
    return of_users, large


def _schedule(
    optimizer: torch.optim.Optimizer, settings: Hyperparameters, n_steps: int, n_done: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Learning rate per step: constant, or one-cycle (Smith and Topin 2018, "Super-convergence")."""

    def one_cycle(step: int) -> float:
        done = (n_done + step) / max(1, n_steps)
        if done < WARM_UP:
            return START_RATE + (1 - START_RATE) * done / WARM_UP
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - WARM_UP) / (1 - WARM_UP))))

    shape = one_cycle if settings.schedule == "one-cycle" else (lambda _: 1.0)
    return torch.optim.lr_scheduler.LambdaLR(optimizer, shape)
