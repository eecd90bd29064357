from __future__ import annotations

import numpy as np
import pytest

from ml.ncf.data.sharding import SINGLE_PROCESS, ProcessRank


def test_single_process_takes_the_whole_batch() -> None:
    assert SINGLE_PROCESS.shard(np.arange(5)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("size", "world_size"), [(6, 2), (7, 2), (7, 3), (2, 3)])
def test_shards_have_equal_sizes_and_cover_the_batch(size: int, world_size: int) -> None:
    shards = [ProcessRank(rank, world_size).shard(np.arange(size)).tolist() for rank in range(world_size)]
    assert len({len(shard) for shard in shards}) == 1
    assert {element for shard in shards for element in shard} == set(range(size))
