"""Training that takes a fraction of a second, for tests of the runner."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from bench.prepared_runs import grouped_shop
from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.training.plan import training_plan
from ml.ncf.training.runner import Trained, run_plan
from ml.ncf.training.training_data import TrainingData
from ml.settings.hyperparameters import Hyperparameters

N_USERS, N_ITEMS = 60, 110

SMALL = Hyperparameters(
    objective="softmax",
    architecture="gmf",
    epochs=4,
    lr=0.05,
    batch_size=16,
    factor_num=8,
    mlp_factor_num=4,
    mlp_epochs=2,
    fused_epochs=2,
    dropout=0.3,
    history=True,
    schedule="one-cycle",
    embedding_std=0.3,
    precision="float32",
)


@cache
def small_data() -> TrainingData:
    """The splits of a small shop without times."""
    rows = {
        name: Interactions.from_pairs(pairs[:, 0], pairs[:, 1], N_USERS, N_ITEMS)
        for name, pairs in grouped_shop(N_USERS, N_ITEMS).items()
    }
    seen = rows["train"].union(rows["validation"])
    validation = EvaluationSet.sampled(rows["validation"], seen, 50, np.random.default_rng(0))
    return TrainingData(train=rows["train"], held_out=rows["validation"], validation=validation)


def train(settings: Hyperparameters = SMALL, **options: object) -> Trained:
    """Run the plan of the settings on the small data, with the options of `run_plan`."""
    return run_plan(training_plan(settings), small_data(), **options)


def weights(trained: Trained) -> torch.Tensor:
    """All parameters as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in trained.model.parameters()])


def same(first: Trained, second: Trained) -> bool:
    """Whether two trainings have equal weights, bit for bit."""
    return torch.equal(weights(first), weights(second))
