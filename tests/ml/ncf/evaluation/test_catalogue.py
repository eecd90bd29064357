from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ml.ncf.data.interactions import DataError, Interactions
from ml.ncf.evaluation import catalogue, metrics
from ml.ncf.evaluation.catalogue import CatalogueResult, CatalogueSet
from ml.ncf.model.finite import NotFiniteError

SCORES = torch.tensor([[4.0, 3.0, 2.0, 1.0], [9.0, 3.0, 3.0, 1.0]])
HELD_OUT = [0, 2]
SEEN = {1: [0]}  # user 1 has seen item 0


def pairs(items_of: dict[int, list[int]], n_users: int = 2, n_items: int = 4) -> Interactions:
    users = [user for user, items in items_of.items() for _ in items]
    items = [item for each in items_of.values() for item in each]
    return Interactions.from_pairs(
        np.array(users, dtype=np.int64), np.array(items, dtype=np.int64), n_users, n_items
    )


def catalogue_set(seen: dict[int, list[int]] = SEEN) -> CatalogueSet:
    held_out = pairs({user: [item] for user, item in enumerate(HELD_OUT)})
    return CatalogueSet.sampled(held_out, pairs(seen), np.random.default_rng(0))


def ranked(scores: torch.Tensor = SCORES, seen: dict[int, list[int]] = SEEN, k: int = 2) -> CatalogueResult:
    return catalogue_set(seen).rank(lambda users: scores[users].clone(), k)


def test_held_out_item_is_ranked_among_unseen_items_and_behind_equal_ones() -> None:
    assert ranked().ranks.tolist() == [0, 1]


def test_lists_have_no_seen_item() -> None:
    assert [set(each) for each in ranked().lists.tolist()] == [{0, 1}, {1, 2}]


def test_user_with_few_unseen_items_is_ranked_among_those() -> None:
    result = ranked(seen={1: [0, 1]}, k=3)
    assert result.ranks.tolist() == [0, 0]
    assert result.lists[1].tolist() == [2, 3, -1]


def test_user_whose_only_unseen_item_is_held_out_is_left_out() -> None:
    found = catalogue_set(seen={1: [0, 1, 3]})
    assert (found.users.tolist(), found.n_left_out, found.n_available) == ([0], 1, 2)
    with pytest.raises(DataError, match="every user has seen all items"):
        catalogue_set(seen={0: [1, 2, 3], 1: [0, 1, 3]})


@pytest.mark.parametrize("block_scores", [1, 4, 7, 10_000])
def test_size_of_the_blocks_does_not_matter(block_scores: int) -> None:
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.random((50, 30)))
    held_out = pairs({user: [user % 30] for user in range(50)}, 50, 30)
    found = CatalogueSet.sampled(held_out, pairs({}, 50, 30), rng)
    expected = (scores >= scores[range(50), found.held_out][:, None]).sum(1) - 1
    ranked = found.rank(lambda users: scores[users].clone(), 5, block_scores)
    assert ranked.ranks.tolist() == expected.tolist()


@pytest.mark.parametrize(("limits", "n_pairs"), [((10, 10**9), 10), ((1000, 30 * 7), 7), ((1000, 1), 1)])
def test_many_pairs_are_sampled_with_the_seed(limits: tuple[int, int], n_pairs: int) -> None:
    held_out = pairs({user: [user % 30] for user in range(50)}, 50, 30)

    def sample(seed: int) -> CatalogueSet:
        return CatalogueSet.sampled(held_out, pairs({}, 50, 30), np.random.default_rng(seed), *limits)

    assert (len(sample(1).users), sample(1).n_available) == (n_pairs, 50)
    assert sample(1).users.tolist() == sample(1).users.tolist() != sample(2).users.tolist()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    scores = SCORES.clone()
    scores[0, 3] = bad
    with pytest.raises(NotFiniteError, match="1 of 8 scores are not finite"):
        ranked(scores)


def test_held_out_item_that_the_model_cannot_recommend_is_a_miss() -> None:
    scores = SCORES.clone()
    scores[0, 0] = -torch.inf
    assert ranked(scores).ranks.tolist() == [metrics.UNRANKED, 1]


def list_metrics(lists: list[list[int]], popularity: tuple[float, ...] = (8, 4, 2, 2)) -> dict[str, float]:
    return catalogue.list_metrics(
        torch.tensor(lists), torch.tensor(HELD_OUT), torch.tensor(popularity, dtype=torch.float64)
    )


def test_coverage_is_the_fraction_of_items_in_any_list() -> None:
    assert list_metrics([[0, 1], [1, 2]])["coverage"] == 0.75
    assert list_metrics([[0, 1], [1, -1]])["coverage"] == 0.5


def test_missing_places_of_short_lists_count_for_no_item() -> None:
    assert list_metrics([[1, 2], [3, -1]]) == list_metrics([[1], [2], [3]])
    assert list_metrics([[1, 2], [3, -1]])["coverage"] == 0.75


def test_gini_is_zero_for_equal_shares_and_largest_for_one_item() -> None:
    assert list_metrics([[0, 1], [2, 3]])["gini"] == pytest.approx(0.0)
    assert list_metrics([[0], [0]])["gini"] == pytest.approx(1 - 1 / 4)
    counts = np.array([0, 1, 2, 1])  # of lists [[0, 1], [1, 2]], sorted below; mean absolute difference
    expected = np.abs(counts[:, None] - counts).mean() / (2 * counts.mean())
    assert list_metrics([[3, 1], [1, 2]])["gini"] == pytest.approx(expected)


def test_popularity_bias_is_popularity_of_recommended_over_held_out_items() -> None:
    recommended, held_out = (8 + 4 + 4 + 2) / 4, (8 + 2) / 2
    assert list_metrics([[0, 1], [1, 2]])["popularity_bias"] == pytest.approx(recommended / held_out)


def test_set_can_be_ranked_by_several_models() -> None:
    found = catalogue_set()
    first = found.rank(lambda users: SCORES[users].clone(), 2)
    found.rank(lambda users: -SCORES[users], 2)
    again = replace(found).rank(lambda users: SCORES[users].clone(), 2)
    assert first.ranks.tolist() == again.ranks.tolist()
