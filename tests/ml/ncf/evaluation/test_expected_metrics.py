from __future__ import annotations

from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ml.ncf.evaluation import metrics
from ml.ncf.evaluation.expected_metrics import expected_values, rank_probabilities


def probabilities(rank: int, n_others: int, n_negatives: int, k: int) -> list[float]:
    return rank_probabilities(torch.tensor([rank]), torch.tensor([n_others]), n_negatives, k)[0].tolist()


@given(st.data())
def test_rank_among_sampled_negatives_is_hypergeometric(data: st.DataObject) -> None:
    n_others = data.draw(st.integers(1, 200))
    rank = data.draw(st.integers(0, n_others))
    n_negatives, k = data.draw(st.integers(1, 120)), data.draw(st.integers(1, 15))
    drawn = min(n_negatives, n_others)
    expected = [
        comb(rank, j) * comb(n_others - rank, drawn - j) / comb(n_others, drawn) if j <= drawn else 0.0
        for j in range(k)
    ]
    assert probabilities(rank, n_others, n_negatives, k) == pytest.approx(expected, abs=1e-9)


def test_expectation_is_the_mean_over_many_samples() -> None:
    rng = np.random.default_rng(0)
    samples = torch.tensor([int((rng.choice(300, 99, replace=False) < 25).sum()) for _ in range(4000)])
    found = expected_values(torch.tensor([25]), torch.tensor([300]), 99, 10)
    for name, values in metrics.values_of_ranks(samples, 10).items():
        assert found[name].item() == pytest.approx(values.mean().item(), abs=0.02)


def test_user_with_few_unseen_items_is_ranked_among_those() -> None:
    found = expected_values(torch.tensor([3]), torch.tensor([20]), 99, 10)
    assert found["ndcg_at_10"].item() == pytest.approx(1 / np.log2(5))


@pytest.mark.parametrize("n_others", [500, 5])
def test_item_that_cannot_be_recommended_has_no_gain(n_others: int) -> None:
    found = expected_values(torch.tensor([metrics.UNRANKED]), torch.tensor([n_others]), 99, 10)
    assert {name: each.item() for name, each in found.items()} == {
        f"{name}_at_10": 0.0 for name in metrics.RANKING_METRICS
    }
