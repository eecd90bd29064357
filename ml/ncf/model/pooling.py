"""Reads of embedding tables, with gradients that are cheap on a CPU.

Shapes: B users, p items of all their histories, I rows of a table, D columns.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- the name that PyTorch's own documentation gives it
from torch import Tensor, nn

from ml.ncf.model.base import History


def whole_table(table: nn.Embedding) -> Tensor:
    """All rows: (I, D).

    The weights themselves unless their gradient is sparse: a look-up of every row copies the table, and its
    gradient sorts the indices.
    """
    return table(torch.arange(table.num_embeddings)) if table.sparse else table.weight


def pooled_rows(table: nn.Embedding, history: History) -> Tensor:
    """Weighted sum of the rows of each history: (B, D)."""
    if table.sparse:
        return F.embedding_bag(
            history.items,
            table.weight,
            history.offsets,
            mode="sum",
            per_sample_weights=history.weights,
            sparse=True,
        )
    pooled: Tensor = _PooledRows.apply(table.weight, history.items, history.offsets, history.weights)
    return pooled


class _PooledRows(torch.autograd.Function):
    """`embedding_bag` whose gradient pools the users of each item in the same way.

    PyTorch's own adds one scaled row at a time, which is slower.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, items: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(items, offsets, weights)
        ctx.n_items = len(table)
        return F.embedding_bag(items, table, offsets, mode="sum", per_sample_weights=weights)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None, None]:
        items, offsets, weights = ctx.saved_tensors
        (gradient,) = outputs
        counts = torch.diff(offsets, append=torch.tensor([len(items)]))
        users = torch.arange(len(offsets)).repeat_interleave(counts)
        ranked, order = items.sort(stable=True)
        starts = torch.searchsorted(ranked, torch.arange(ctx.n_items))
        pooled = F.embedding_bag(
            users[order], gradient, starts, mode="sum", per_sample_weights=weights[order]
        )
        return pooled, None, None, None
