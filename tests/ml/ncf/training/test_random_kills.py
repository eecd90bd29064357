"""A training that ends at random steps, again and again (`jobs/test_spot.py` kills its process)."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from ml.ncf.training.checkpoint import CheckpointFolder
from ml.ncf.training.optimizer import Optimizers
from ml.ncf.training.runner import Trained
from tests.ml.ncf.training.small import SMALL, same, train

SETTINGS = replace(SMALL, epochs=8, patience=8, refit=True)
MAX_ATTEMPTS = 200


class Killed(BaseException):
    """The end of the instance."""


def trained_with_kills(folder: Path, rng: random.Random, patch: pytest.MonkeyPatch) -> tuple[Trained, int]:
    """The training of the folder's checkpoints, killed after 1 to 30 steps until it ends; number of kills."""
    step, left = Optimizers.step, 0

    def step_or_die(optimizers: Optimizers) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        step(optimizers)

    patch.setattr(Optimizers, "step", step_or_die)
    for n_kills in range(MAX_ATTEMPTS):
        left = rng.randint(1, 30)
        try:
            return train(SETTINGS, checkpoints=CheckpointFolder(folder)), n_kills
        except Killed:
            continue
    raise AssertionError(f"not finished after {MAX_ATTEMPTS} attempts")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_training_killed_at_random_steps_has_the_weights_of_an_unbroken_one(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train(SETTINGS)
    found, n_kills = trained_with_kills(tmp_path, random.Random(seed), monkeypatch)
    assert n_kills >= 2
    assert same(found, expected)
