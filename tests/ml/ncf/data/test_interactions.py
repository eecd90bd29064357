from __future__ import annotations

import numpy as np

from ml.ncf.data.interactions import Interactions


def pairs(users: list[int], items: list[int], times: list[int], weights: list[float]) -> Interactions:
    return Interactions.from_pairs(
        np.array(users), np.array(items), 3, 5, np.array(times), weights=np.array(weights, dtype=np.float32)
    )


def test_repeated_pair_has_its_newest_time_and_its_greatest_weight() -> None:
    found = pairs([2, 0, 2], [1, 4, 1], [7, 3, 9], [3.0, 1.0, 2.0])
    assert found.indices.tolist() == [4, 1]
    assert found.times is not None
    assert found.times.tolist() == [3, 9]
    assert found.weights is not None
    assert found.weights.tolist() == [1.0, 3.0]


def test_mask_keeps_pairs_with_their_times_and_weights() -> None:
    kept = pairs([0, 0, 2], [1, 4, 0], [1, 2, 3], [1.0, 2.0, 3.0]).where(np.array([False, True, True]))
    assert kept.of(0).tolist() == [4]
    assert kept.of(2).tolist() == [0]
    assert kept.times is not None
    assert kept.times.tolist() == [2, 3]
    assert kept.weights is not None
    assert kept.weights.tolist() == [2.0, 3.0]


def test_union_has_weights_only_if_all_parts_have_them() -> None:
    first = pairs([0], [1], [1], [2.0])
    without = Interactions.from_pairs(np.array([1]), np.array([1]), 3, 5, np.array([4]))
    assert first.union(without).weights is None
    both = first.union(pairs([1], [0], [4], [5.0])).weights
    assert both is not None
    assert both.tolist() == [2.0, 5.0]
