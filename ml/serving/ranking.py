"""Ranking: the best items of each user of a request."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.contract import canonical_id
from ml.serving.request import Instance
from ml.serving.store import Recommender

_log = logging.getLogger(__name__)


def rank(instances: list[Instance], model: Recommender) -> list[dict[str, Any]]:
    """A prediction per user of the request; all known users are scored in one batch."""
    users = [model.user(each.user_id) for each in instances]
    scores = iter(_score(model, [user for user in users if user is not None]))
    predictions = []
    for each, user in zip(instances, users, strict=True):
        of_user = None if user is None else next(scores)
        if of_user is not None and not np.isfinite(of_user).all():
            _log.error("model %s: a user's scores are not finite", model.artifact.version)
            of_user = None
        if of_user is None:
            predictions.append(_popular(each, model))
        else:
            predictions.append(_ranked(each, model, of_user, "ncf"))
    return predictions


def _score(model: Recommender, users: list[int]) -> NDArray[np.float32]:
    """Scores of B users for the catalogue: (B, I)."""
    if not users or model.artifact.model is None:
        return np.empty((0, 0), dtype=np.float32)
    with torch.inference_mode():
        return model.artifact.model.score_catalogue(torch.tensor(users)).numpy()


def _popular(instance: Instance, model: Recommender) -> dict[str, Any]:
    data = model.artifact.data
    if data is None:
        return {"user_id": instance.user_id, "items": [], "strategy": "popular"}
    return _ranked(instance, model, data.popularity.astype(np.float32), "popular")


def _ranked(
    instance: Instance, model: Recommender, scores: NDArray[np.float32], strategy: str
) -> dict[str, Any]:
    """The k allowed items with the highest scores, highest first; ties in the order of the catalogue."""
    data = model.artifact.data
    assert data is not None  # noqa: S101 -- an artifact with scores has data
    allowed = np.ones(len(scores), dtype=bool)
    if instance.candidates is not None:
        candidates = [canonical_id(each) for each in instance.candidates]
        wanted = [model.item_index[each] for each in candidates if each in model.item_index]
        allowed[:] = False
        allowed[wanted] = True
    user = model.user(instance.user_id)
    if instance.exclude_seen and user is not None:
        allowed[data.seen(user)] = False
    rows = np.flatnonzero(allowed)
    best = rows[np.argsort(-scores[rows], kind="stable")[: instance.k]]
    items = [{"item_id": str(data.item_ids[row]), "score": float(scores[row])} for row in best]
    return {"user_id": instance.user_id, "items": items, "strategy": strategy}
