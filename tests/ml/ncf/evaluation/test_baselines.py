from __future__ import annotations

import numpy as np
import pytest
import torch

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation import baselines
from ml.ncf.evaluation.evaluation_set import EvaluationSet

# Users 0, 1 and 2 have items 0 and 1; user 0 also has item 2; only user 3 has item 3.
PAIRS = np.array([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1), (3, 3), (4, 0)])
TRAIN = Interactions.from_pairs(PAIRS[:, 0], PAIRS[:, 1], n_users=5, n_items=4)
EVALUATION_SET = EvaluationSet(torch.tensor([4]), torch.tensor([[1, 2, 3]], dtype=torch.int32))


def test_popularity_scores_by_training_interactions() -> None:
    assert baselines.popularity(TRAIN, EVALUATION_SET).tolist() == [[3, 1, 1]]


def test_similarity_is_the_shrunk_cosine_of_the_sets_of_users() -> None:
    scores = baselines.ItemKNN.fit(TRAIN).scores(EVALUATION_SET)  # user 4 has item 0, which four users have

    def similarity(common: int, users: int) -> float:
        return common / (users * 4) ** 0.5 * common / (common + baselines.SHRINKAGE)

    assert scores[0].tolist() == pytest.approx([similarity(3, 3), similarity(1, 1), 0.0])


def test_item_is_not_its_own_neighbour() -> None:
    own = EvaluationSet(torch.tensor([3]), torch.tensor([[3]], dtype=torch.int32))
    assert baselines.ItemKNN.fit(TRAIN).scores(own).tolist() == [[0.0]]


def test_size_of_item_blocks_does_not_change_the_scores() -> None:
    whole = baselines.ItemKNN.fit(TRAIN).scores(EVALUATION_SET)
    assert torch.equal(baselines.ItemKNN.fit(TRAIN, item_block=3).scores(EVALUATION_SET), whole)


def test_item_knn_is_not_affordable_beyond_the_limit() -> None:
    assert baselines.is_affordable(TRAIN)
    assert not baselines.is_affordable(TRAIN, max_pairs=10)
