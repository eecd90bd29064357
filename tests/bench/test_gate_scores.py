"""Kept scores of `bench/gate.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.gate import Split, scores_file


def split_of(folder: Path, seed: int) -> Split:
    """The split of random events: user, item, rating, time."""
    events = np.random.default_rng(seed).integers(0, 20, (300, 4))
    path = folder / f"{seed}.data"
    np.savetxt(path, np.unique(events[:, [0, 1]], axis=0).repeat(2, axis=1)[:, [0, 2, 1, 3]], fmt="%d")
    return Split.of(path)


def test_scores_of_other_data_or_another_seed_are_in_another_file(tmp_path: Path) -> None:
    one, other = split_of(tmp_path, 1), split_of(tmp_path, 2)
    assert scores_file(one, 1, tmp_path) == scores_file(split_of(tmp_path, 1), 1, tmp_path)
    assert len({scores_file(*each, tmp_path) for each in ((one, 1), (one, 2), (other, 1))}) == 3
