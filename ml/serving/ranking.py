"""Ranking: the best items of each user of a request."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.ncf.model.base import Features
from ml.serving.request import Instance
from ml.serving.session import UserSession, session_of
from ml.serving.store import Recommender

_log = logging.getLogger(__name__)


def rank(instances: list[Instance], model: Recommender) -> list[dict[str, Any]]:
    """A prediction per user of the request; all known users without a session are scored in one batch."""
    users = [model.user(each.user_id) for each in instances]
    sessions = [session_of(each, user, model) for each, user in zip(instances, users, strict=True)]
    batch = zip(users, sessions, strict=True)
    trained = [user for user, session in batch if user is not None and session.features is None]
    scores = iter(_score(model, trained))
    predictions = []
    for each, user, session in zip(instances, users, sessions, strict=True):
        if session.features is not None:
            of_user: NDArray[np.float32] | None = _score_features(model, session.features)
        else:
            of_user = None if user is None else next(scores)
        if of_user is not None and not np.isfinite(of_user).all():
            _log.error("model %s: a user's scores are not finite", model.artifact.version)
            of_user = None
        if of_user is None:
            prediction = _popular(each, model, session)
        else:
            prediction = _ranked(each, model, session, of_user, session.strategy(user is not None))
        if session.n_ignored is not None:
            prediction["ignored_items"] = session.n_ignored
        predictions.append(prediction)
    return predictions


def _score(model: Recommender, users: list[int]) -> NDArray[np.float32]:
    """Scores of B users for the catalogue: (B, I)."""
    if not users or model.artifact.model is None:
        return np.empty((0, 0), dtype=np.float32)
    with torch.inference_mode():
        return model.artifact.model.score_catalogue(torch.tensor(users)).numpy()


def _score_features(model: Recommender, features: Features) -> NDArray[np.float32]:
    """Scores of one user with features (1, F) for the catalogue: (I,)."""
    found = model.artifact.model
    assert found is not None  # noqa: S101 -- it computed the features
    with torch.inference_mode():
        return found.cross(features, found.item_features(torch.arange(found.config.n_items)))[0].numpy()


def _popular(instance: Instance, model: Recommender, session: UserSession) -> dict[str, Any]:
    data = model.artifact.data
    if data is None:
        return {"user_id": instance.user_id, "items": [], "strategy": "popular"}
    return _ranked(instance, model, session, data.popularity.astype(np.float32), "popular")


def _ranked(
    instance: Instance,
    model: Recommender,
    session: UserSession,
    scores: NDArray[np.float32],
    strategy: str,
) -> dict[str, Any]:
    """The k allowed items with the highest scores, highest first; ties in the order of the catalogue."""
    data = model.artifact.data
    assert data is not None  # noqa: S101 -- an artifact with scores has data
    allowed = np.ones(len(scores), dtype=bool)
    if instance.candidates is not None:
        wanted = [model.item_index[each] for each in instance.candidates if each in model.item_index]
        allowed[:] = False
        allowed[wanted] = True
    user = model.user(instance.user_id)
    if instance.exclude_seen and user is not None:
        allowed[data.seen(user)] = False
    if instance.exclude_seen:
        allowed[list(session.rows)] = False
    allowed[[model.item_index[each] for each in instance.exclude_items if each in model.item_index]] = False
    rows = np.flatnonzero(allowed)
    best = rows[np.argsort(-scores[rows], kind="stable")[: instance.k]]
    items = [{"item_id": str(data.item_ids[row]), "score": float(scores[row])} for row in best]
    return {"user_id": instance.user_id, "items": items, "strategy": strategy}
