from __future__ import annotations

import math
import re

import pytest
import torch

from ml.ncf.evaluation import metrics
from ml.ncf.model.finite import NotFiniteError
from ml.settings.metrics import CUTOFF, GATED_METRICS

SCORES = torch.tensor(
    [
        [3.0, 1.0, 2.0, 0.0],  # rank 0
        [1.0, 3.0, 2.0, 0.0],  # rank 2
        [2.0, 2.0, 2.0, 2.0],  # all equal: last
    ]
)


def test_equal_scores_rank_ahead_of_the_held_out_item() -> None:
    assert metrics.rank_of_first(SCORES).tolist() == [0, 2, 3]


def test_constant_scores_never_hit() -> None:
    assert metrics.hit_rate(metrics.rank_of_first(torch.zeros(5, 100)), 10) == 0.0


def test_hit_rate_counts_ranks_below_k() -> None:
    assert metrics.hit_rate(torch.tensor([0, 2, 3]), 3) == pytest.approx(2 / 3)


def test_ndcg_discounts_by_the_logarithm_of_the_rank() -> None:
    expected = (1 + 1 / math.log2(4) + 0) / 3
    assert metrics.ndcg(torch.tensor([0, 2, 3]), 3) == pytest.approx(expected)


def test_reciprocal_rank_has_no_cutoff() -> None:
    assert metrics.reciprocal_rank(torch.tensor([0, 3])) == pytest.approx((1 + 1 / 4) / 2)


def whole_catalogue() -> dict[str, float]:
    totals = metrics.CatalogueMetrics(popularity=torch.tensor([8, 4, 2, 2]), k=2)
    scores = torch.tensor([[4.0, 3.0, 2.0, 1.0], [-torch.inf, 3.0, 3.0, 1.0]])
    totals.add(scores[:1], torch.tensor([0]))  # rank 0
    totals.add(scores[1:], torch.tensor([2]))  # a tie with item 1: rank 1
    return totals.result()


def test_whole_catalogue_metrics_rank_among_all_unseen_items() -> None:
    result = whole_catalogue()
    assert result["hr_at_2"] == 1.0
    assert result["ndcg_at_2"] == pytest.approx((1 + 1 / math.log2(3)) / 2)
    assert result["mrr"] == pytest.approx((1 + 1 / 2) / 2)


def test_coverage_is_the_fraction_of_items_in_any_top_k() -> None:
    assert whole_catalogue()["coverage_at_2"] == 0.75  # 0 and 1; then 1 and 2


def test_popularity_bias_is_popularity_of_recommended_over_held_out_items() -> None:
    recommended, held_out = (8 + 4 + 4 + 2) / 4, (8 + 2) / 2
    assert whole_catalogue()["popularity_bias_at_2"] == pytest.approx(recommended / held_out)


def test_every_gated_metric_has_a_function() -> None:
    assert {metric.key for metric in GATED_METRICS} <= metrics.quality(SCORES, CUTOFF).keys()


def test_log_line_has_every_gated_metric_as_sagemaker_parses_it() -> None:
    line = metrics.log_line({"hr": 0.70124, "ndcg": 0.42})
    assert line == "HR@10=0.7012; NDCG@10=0.4200;"
    assert all(re.search(metric.regex, line) for metric in GATED_METRICS)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_held_out_item_without_a_finite_score_never_hits(bad: float) -> None:
    scores = torch.zeros(1, 4)
    scores[0, 0] = bad
    assert metrics.of_scores(scores, 10) == {"hr": 0.0, "ndcg": 0.0}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_negative_without_a_finite_score_ranks_ahead(bad: float) -> None:
    assert metrics.rank_of_first(torch.tensor([[1.0, bad, 0.0]])).tolist() == [1]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_whole_catalogue_metrics_refuse_scores_that_are_not_finite(bad: float) -> None:
    totals = metrics.CatalogueMetrics(popularity=torch.tensor([8, 4, 2, 2]), k=2)
    with pytest.raises(NotFiniteError, match="1 of 4 scores are not finite"):
        totals.add(torch.tensor([[bad, 3.0, -torch.inf, 1.0]]), torch.tensor([0]))


def test_held_out_item_that_is_masked_is_a_miss_in_the_whole_catalogue() -> None:
    totals = metrics.CatalogueMetrics(popularity=torch.tensor([8, 4, 2, 2]), k=2)
    totals.add(torch.tensor([[-torch.inf, -torch.inf, -torch.inf, 1.0]]), torch.tensor([0]))
    assert totals.result()["hr_at_2"] == 0.0
