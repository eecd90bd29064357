from __future__ import annotations

import math

import pytest
import torch

from ml.ncf import metrics

SCORES = torch.tensor(
    [
        [3.0, 1.0, 2.0, 0.0],  # rank 0
        [1.0, 3.0, 2.0, 0.0],  # rank 2
        [2.0, 2.0, 2.0, 2.0],  # all equal: last
    ]
)


def test_equal_scores_rank_ahead_of_the_held_out_item() -> None:
    assert metrics.rank_of_first(SCORES).tolist() == [0, 2, 3]


def test_a_model_without_opinion_never_hits() -> None:
    assert metrics.hit_rate(metrics.rank_of_first(torch.zeros(5, 100)), 10) == 0.0


def test_hit_rate_counts_ranks_below_k() -> None:
    assert metrics.hit_rate(torch.tensor([0, 2, 3]), 3) == pytest.approx(2 / 3)


def test_ndcg_discounts_by_the_logarithm_of_the_rank() -> None:
    expected = (1 + 1 / math.log2(4) + 0) / 3
    assert metrics.ndcg(torch.tensor([0, 2, 3]), 3) == pytest.approx(expected)


def test_reciprocal_rank_has_no_cut() -> None:
    assert metrics.reciprocal_rank(torch.tensor([0, 3])) == pytest.approx((1 + 1 / 4) / 2)
