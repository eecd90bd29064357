"""Pooling of sessions, their file, and the features of model families."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.ncf.data.interactions import Interactions
from ml.ncf.model.ease import EASE, EASEConfig
from ml.ncf.model.session import Session, SessionMap
from ml.ncf.objectives.histories import HistoryWeights, full_histories


@pytest.mark.parametrize("half_life", [math.inf, 16.0, 4.0])
@pytest.mark.parametrize(("n_known", "m"), [(0, 1), (0, 7), (5, 3), (40, 200)])
def test_session_is_pooled_as_the_newest_items_of_a_history(half_life: float, n_known: int, m: int) -> None:
    """Together, the trained items and the session have the weights of one history in training."""
    n = n_known + m
    pairs = np.zeros(n, dtype=np.int64), np.arange(n)
    trained = Interactions.from_pairs(*pairs, 1, n, times=np.arange(n))
    whole = full_histories(trained, torch.tensor([0]), HistoryWeights(half_life)).weights
    session = Session(torch.arange(m), torch.ones(m), user=0 if n_known else None, n_known=n_known)
    kept, weights = session.pooling(half_life)
    assert torch.allclose(weights, whole[n_known:], atol=1e-6)
    if n_known:
        before = Interactions.from_pairs(pairs[0][:n_known], pairs[1][:n_known], 1, n, np.arange(n_known))
        alone = full_histories(before, torch.tensor([0]), HistoryWeights(half_life)).weights
        assert torch.allclose(kept * alone, whole[:n_known], atol=1e-6)
    else:
        assert kept == 0.0


def test_file_is_equal_for_equal_maps_and_refused_when_it_is_not_finite(tmp_path: Path) -> None:
    session_map = SessionMap(8.0, (torch.eye(3), torch.eye(2)))
    session_map.write(tmp_path / "a.pt")
    SessionMap(8.0, (torch.eye(3), torch.eye(2))).write(tmp_path / "b.pt")
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    found = SessionMap.read(tmp_path / "a.pt")
    assert found.half_life == 8.0
    assert all(torch.equal(a, b) for a, b in zip(found.maps, session_map.maps, strict=True))
    SessionMap(8.0, (torch.full((2, 2), torch.nan),)).write(tmp_path / "a.pt")
    with pytest.raises(ValueError, match="maps of sessions"):
        SessionMap.read(tmp_path / "a.pt")


def test_session_of_ease_is_a_row_of_interactions() -> None:
    train = Interactions.from_pairs(np.array([0, 0, 1]), np.array([0, 1, 2]), 2, 4)
    model = EASE(EASEConfig(n_users=2, n_items=4, l2=1.0))
    model.fit(train)
    session = Session(torch.tensor([2]), torch.tensor([1.0]))
    (new,) = model.session_features(session, None)
    assert new.tolist() == [[0.0, 0.0, 1.0, 0.0]]
    (moved,) = model.session_features(Session(session.items, session.weights, user=0, n_known=2), None)
    assert moved.tolist() == [[1.0, 1.0, 1.0, 0.0]]
