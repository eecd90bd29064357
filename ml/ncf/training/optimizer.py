"""AdamW whose embedding tables are updated a row at a time.

A step touches a few thousand rows of tables that may have millions. Dense Adam would read and write all of
them, and keep two more tables of moments; here a step costs what it touches.

* Moments and decay of a row advance only when the row has a gradient: "lazy" Adam, as torch.optim.SparseAdam.
* The second moment is one number a row, the mean over its elements, as the row-wise optimisers of torchrec
  and FBGEMM keep it: a table of D columns costs D + 2 extra numbers a row, not 2 D.

Where a batch is a set of users with all that they have, a user is visited once an epoch. Users' tables are
then row-wise whatever their size: dense decay would act once a step, and thus ever more often between two
visits the more users there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ml.ncf.model.ncf import NCF
from ml.settings.hyperparameters import Hyperparameters

ROW_WISE_ELEMENTS = 2**24  # a larger table is updated row-wise: a dense step costs more than its batch
# A user's one visit an epoch moves by so many steps' rate, and at that rate decays so many times as strongly.
VISIT = 5.0  # docs/adr/0007
WARM_UP = 0.2  # share of the steps in which a one-cycle rate rises
START_RATE = 0.04  # of the peak, where it rises from: torch.optim's own default


class RowWiseAdamW(torch.optim.Optimizer):
    """Loshchilov and Hutter 2019 ("Decoupled weight decay regularization"), for sparse gradients only."""

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
        """Update the rows that the last backward pass reached."""
        if closure is not None:
            raise ValueError("RowWiseAdamW takes no closure")
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._update(table, group)

    def _update(self, table: Tensor, group: dict[str, Any]) -> None:
        state = self.state[table]
        if not state:
            state["steps"] = torch.zeros(len(table), dtype=torch.int32)  # updates a row has had
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

        # Bias corrections by the updates of the row, since rows start at different times.
        unbiased = square / -torch.expm1(steps * math.log(beta_square))
        scale = group["lr"] / (-torch.expm1(steps * math.log(beta_mean)) * (unbiased.sqrt() + group["eps"]))
        weights = table.index_select(0, rows)
        if group["weight_decay"]:
            weights.mul_(1 - group["lr"] * group["weight_decay"])
        table.index_copy_(0, rows, weights.addcmul_(mean, scale.unsqueeze(1), value=-1))


class Optimizers:
    """All of a model's parameters under one rate schedule: some tables row-wise, the rest by dense AdamW."""

    def __init__(self, model: NCF, settings: Hyperparameters, n_steps: int) -> None:
        if model.gmf is not None:
            model.gmf.output.requires_grad_(settings.learn_output)
        visited, large = _row_wise_tables(model, by_user=settings.objective != "bce")
        taken = {id(table) for table in (*visited, *large)}
        rest = [p for p in model.parameters() if p.requires_grad and id(p) not in taken]
        rate, decay, betas = settings.lr, settings.weight_decay, (0.9, settings.beta2)
        dense = [
            {"params": [p for p in rest if p.dim() > 1], "weight_decay": decay},
            {"params": [p for p in rest if p.dim() <= 1], "weight_decay": 0.0},  # biases, h
        ]
        row_wise = [
            {"params": visited, "lr": rate * VISIT, "weight_decay": decay * VISIT},
            {"params": large, "weight_decay": decay},
        ]
        self._all: list[torch.optim.Optimizer] = []
        if rest:
            self._all.append(torch.optim.AdamW(dense, rate, betas=betas, fused=True))
        if taken:
            self._all.append(RowWiseAdamW(row_wise, rate, betas))
        self._schedules = [_schedule(optimizer, settings, n_steps) for optimizer in self._all]

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._all[0].param_groups[0]["lr"])

    def zero_grad(self) -> None:
        for optimizer in self._all:
            optimizer.zero_grad()

    def step(self) -> None:
        """Update the weights, then the rate."""
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


def _row_wise_tables(model: NCF, by_user: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Tables to update row-wise: those of users that are visited once an epoch, and other large ones."""
    of_users = {id(tower.user_input.embedding) for tower in model.towers}
    visited: list[Tensor] = []
    large: list[Tensor] = []
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            is_visited = by_user and id(module) in of_users
            module.sparse = is_visited or module.weight.numel() > ROW_WISE_ELEMENTS
            if module.sparse:
                (visited if is_visited else large).append(module.weight)
    return visited, large


def _schedule(
    optimizer: torch.optim.Optimizer, settings: Hyperparameters, n_steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """A rate a step: constant, or up and down once (Smith and Topin 2018, "Super-convergence")."""

    def one_cycle(step: int) -> float:
        done = step / max(1, n_steps)
        if done < WARM_UP:
            return START_RATE + (1 - START_RATE) * done / WARM_UP
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - WARM_UP) / (1 - WARM_UP))))

    shape = one_cycle if settings.schedule == "one-cycle" else (lambda _: 1.0)
    return torch.optim.lr_scheduler.LambdaLR(optimizer, shape)
