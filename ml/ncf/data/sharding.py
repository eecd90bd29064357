"""Shards of a batch: each process of a distributed training takes one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ProcessRank:
    """Rank of this process and the number of processes that train the model together."""

    rank: int = 0
    world_size: int = 1

    def shard(self, batch: NDArray[np.integer]) -> NDArray[np.integer]:
        """Elements of the batch (B,) that this process takes: (ceil(B / world_size),).

        Every process gets the same number; a batch that is not divisible is extended by its first elements.
        """
        padded = math.ceil(len(batch) / self.world_size) * self.world_size
        return np.resize(batch, padded)[self.rank :: self.world_size]


SINGLE_PROCESS = ProcessRank()
