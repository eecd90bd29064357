from __future__ import annotations

import math

import pytest
import torch

from ml.ncf.evaluation import metrics

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


def whole_catalogue() -> dict[str, float]:
    gathered = metrics.CatalogueMetrics(popularity=torch.tensor([8, 4, 2, 2]), k=2)
    scores = torch.tensor([[4.0, 3.0, 2.0, 1.0], [-torch.inf, 3.0, 3.0, 1.0]])
    gathered.add(scores[:1], torch.tensor([0]))  # rank 0
    gathered.add(scores[1:], torch.tensor([2]))  # a tie with item 1: rank 1
    return gathered.result()


def test_the_whole_catalogue_ranks_among_everything_unseen() -> None:
    result = whole_catalogue()
    assert result["hr_at_2"] == 1.0
    assert result["ndcg_at_2"] == pytest.approx((1 + 1 / math.log2(3)) / 2)
    assert result["mrr"] == pytest.approx((1 + 1 / 2) / 2)


def test_coverage_is_the_share_of_items_that_anyone_is_shown() -> None:
    assert whole_catalogue()["coverage_at_2"] == 0.75  # 0 and 1; then 1 and 2


def test_popularity_bias_is_shown_over_taken() -> None:
    shown, taken = (8 + 4 + 4 + 2) / 4, (8 + 2) / 2
    assert whole_catalogue()["popularity_bias_at_2"] == pytest.approx(shown / taken)
