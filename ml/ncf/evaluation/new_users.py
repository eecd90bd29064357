"""Ranking for users who are treated as new: from their last items, without their own vectors (ADR 28)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.model.base import RankingModel
from ml.ncf.model.finite import require_finite
from ml.ncf.model.session import Session, SessionMap

SESSION_LENGTH = 10


@torch.no_grad()
def session_scores(
    model: RankingModel, session_map: SessionMap | None, known: Interactions, evaluation_set: EvaluationSet
) -> Tensor | None:
    """Scores of an evaluation set (C, 1 + N) for sessions of each user's last `SESSION_LENGTH` known items.

    Args:
        model: the trained model; indices are those of the set.
        session_map: of the model.
        known: pairs that the sessions are made of; every user of the set has one.
        evaluation_set: held-out items among negatives.

    Returns:
        None if the model has no sessions.

    Raises:
        ml.ncf.model.finite.NotFiniteError: a score is not finite.
    """
    scores = []
    for user, ranked in zip(evaluation_set.users.tolist(), evaluation_set.items.long(), strict=True):
        items = torch.from_numpy(newest_items(known, user, SESSION_LENGTH).astype(np.int64))
        features = model.session_features(Session(items, torch.ones(len(items))), session_map)
        if features is None:
            return None
        scores.append(model.pairs(tuple(each[0] for each in features), model.item_features(ranked)))
    found = torch.stack(scores)
    require_finite(found, "scores of sessions")
    return evaluation_set.masked(found)


def newest_items(known: Interactions, user: int, n_items: int) -> np.ndarray:
    """The newest items of a user, oldest first; the last ones of the row if the times are not known."""
    start, end = known.indptr[user], known.indptr[user + 1]
    positions = np.arange(start, end)
    if known.recency is not None:
        positions = positions[np.argsort(-known.recency[start:end], kind="stable")]
    return known.indices[positions[-n_items:]]
