from __future__ import annotations

import numpy as np
import pytest
import torch

from ml.ncf.data.prepared_run import Interactions
from ml.ncf.evaluation import baselines
from ml.ncf.evaluation.evaluation_set import Candidates

# Items 0 and 1 share users 0, 1, 2; item 2 shares user 0 with them; item 3 is user 3's alone.
PAIRS = np.array([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1), (3, 3), (4, 0)])
TRAIN = Interactions.from_pairs(PAIRS[:, 0], PAIRS[:, 1], n_users=5, n_items=4)
CANDIDATES = Candidates(torch.tensor([4]), torch.tensor([[1, 2, 3]], dtype=torch.int32))


def test_popularity_scores_by_training_interactions() -> None:
    assert baselines.popularity(TRAIN, CANDIDATES).tolist() == [[3, 1, 1]]


def test_similarity_is_the_shrunk_cosine_of_the_items_users() -> None:
    scores = baselines.ItemKNN.fit(TRAIN).scores(CANDIDATES)  # user 4 has item 0, which four users have

    def similarity(common: int, users: int) -> float:
        return common / (users * 4) ** 0.5 * common / (common + baselines.SHRINKAGE)

    assert scores[0].tolist() == pytest.approx([similarity(3, 3), similarity(1, 1), 0.0])


def test_an_item_is_no_neighbour_of_itself() -> None:
    own = Candidates(torch.tensor([3]), torch.tensor([[3]], dtype=torch.int32))
    assert baselines.ItemKNN.fit(TRAIN).scores(own).tolist() == [[0.0]]


def test_blocks_of_items_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = baselines.ItemKNN.fit(TRAIN).scores(CANDIDATES)
    monkeypatch.setattr(baselines, "NEIGHBOUR_BLOCK", 3)
    assert torch.equal(baselines.ItemKNN.fit(TRAIN).scores(CANDIDATES), whole)


def test_what_would_take_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert baselines.affordable(TRAIN)
    monkeypatch.setattr(baselines, "MOST_PAIRS", 10)
    assert not baselines.affordable(TRAIN)
