"""Interface of a training objective."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from ml.ncf.model.base import RankingModel


class Objective(Protocol):
    """Splits an epoch into batches and computes the loss of a batch.

    The order of an epoch is the same in every process; each takes its shard of every batch
    (`ml.ncf.data.sharding`) and draws its own random numbers (negatives, dropout) from a separate generator.
    """

    n_steps: int  # per epoch

    def batches(self, order: np.random.Generator, draws: np.random.Generator) -> Iterator[Any]:
        """This process's batches of one epoch.

        Args:
            order: generator of the epoch's order, with the same state in every process.
            draws: generator of this process.
        """
        ...

    def loss(self, model: RankingModel, batch: Any) -> tuple[Tensor, int]:
        """Mean loss of a batch, and the number of terms in the mean."""
        ...
