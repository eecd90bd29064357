from __future__ import annotations

import math
import re

import pytest
import torch

from ml.ncf.evaluation import metrics
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
    assert metrics.hits(metrics.rank_of_first(torch.zeros(5, 100)), 10).sum() == 0


def test_hit_rate_counts_ranks_below_k() -> None:
    assert metrics.hits(torch.tensor([0, 2, 3]), 3).tolist() == [1, 1, 0]


def test_ndcg_discounts_by_the_logarithm_of_the_rank() -> None:
    gains = metrics.discounted_gains(torch.tensor([0, 2, 3]), 3)
    assert gains.tolist() == pytest.approx([1, 1 / math.log2(4), 0])


def test_reciprocal_rank_has_no_cutoff() -> None:
    assert metrics.reciprocal_ranks(torch.tensor([0, 3])).tolist() == [1, 1 / 4]


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
    assert metrics.of_scores(scores, 10) == dict.fromkeys(metrics.RANKING_METRICS, 0.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_negative_without_a_finite_score_ranks_ahead(bad: float) -> None:
    assert metrics.rank_of_first(torch.tensor([[1.0, bad, 0.0]])).tolist() == [1]
