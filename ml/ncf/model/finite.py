"""Checks that weights and scores are finite; other models are not selected, written or served."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

N_THREADS = 2  # that read weights from their file


class NotFiniteError(ValueError):
    """Weights or scores are NaN or infinite; the message says which and how many."""


def require_finite(values: Tensor, what: str) -> None:
    """Raise NotFiniteError unless all values are finite.

    Args:
        values: of any shape.
        what: name of the values, for the message.
    """
    # A NaN or infinity makes the sum NaN or infinite, and the sum needs no memory. Large values can also.
    if torch.isfinite(values.sum()):
        return
    n_bad = values.numel() - int(torch.isfinite(values).sum())
    if n_bad:
        raise NotFiniteError(f"{n_bad} of {values.numel()} {what} are not finite")


def require_finite_weights(model: nn.Module) -> None:
    """Raise NotFiniteError unless all parameters and buffers of a model are finite."""
    with ThreadPoolExecutor(N_THREADS) as pool:
        checks = [
            pool.submit(require_finite, tensor, f"values of {name}")
            for name, tensor in model.state_dict().items()
            if tensor.is_floating_point()
        ]
        for check in checks:
            check.result()
