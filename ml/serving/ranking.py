"""Ranking: the best items of each user of a request; :mod:`ml.ncf.model.retrieval` limits what is scored."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.ncf.model.ranked import Ranked, ordered
from ml.ncf.model.retrieval import best_items, score_items
from ml.serving.request import Instance
from ml.serving.session import UserSession, session_of
from ml.serving.store import Recommender

_log = logging.getLogger(__name__)


def rank(instances: list[Instance], model: Recommender) -> list[dict[str, Any]]:
    """A prediction per user of the request; users with the same k are searched together."""
    users = [model.user(each.user_id) for each in instances]
    sessions = [session_of(each, user, model) for each, user in zip(instances, users, strict=True)]
    excluded = [
        _excluded(each, user, session, model)
        for each, user, session in zip(instances, users, sessions, strict=True)
    ]
    with torch.inference_mode():
        ranked = _by_model(instances, users, sessions, excluded, model)
    predictions = []
    for row, (each, user, session) in enumerate(zip(instances, users, sessions, strict=True)):
        found, strategy = ranked[row], session.strategy(user is not None)
        if found is not None and not np.isfinite(found[1]).all():
            _log.error("model %s: a user's scores are not finite", model.artifact.version)
            found = None
        if found is None:
            found, strategy = _popular(each, excluded[row], model), "popular"
        prediction: dict[str, Any] = {
            "user_id": each.user_id,
            "items": _items(each, found, model),
            "strategy": strategy,
        }
        if session.n_ignored is not None:
            prediction["ignored_items"] = session.n_ignored
        predictions.append(prediction)
    return predictions


def _by_model(
    instances: list[Instance],
    users: list[int | None],
    sessions: list[UserSession],
    excluded: list[NDArray[np.int64]],
    model: Recommender,
) -> list[Ranked | None]:
    """The model's items per instance; None for users without features."""
    network, retrieval = model.artifact.model, model.artifact.retrieval
    ranked: list[Ranked | None] = [None] * len(instances)
    if network is None:
        return ranked
    batches: dict[tuple[int, bool], list[int]] = {}  # rows by k, and by whether there is a session
    for row, (each, user, session) in enumerate(zip(instances, users, sessions, strict=True)):
        features = session.features
        if features is None and user is None:
            continue
        if each.candidates is None:
            batches.setdefault((each.k, features is not None), []).append(row)
            continue
        if features is None:
            features = network.user_features(torch.tensor([user]))
        items = _candidates(each, excluded[row], model)
        ranked[row] = ordered(items, score_items(network, features, items))
    for (k, _), rows in batches.items():
        of_sessions = [features for row in rows if (features := sessions[row].features) is not None]
        known = None if of_sessions else torch.tensor([users[row] for row in rows])
        if known is None:
            batch = tuple(torch.cat(parts) for parts in zip(*of_sessions, strict=True))
        else:
            batch = network.user_features(known)
        found = best_items(network, retrieval, batch, [excluded[row] for row in rows], k, users=known)
        for row, of_user in zip(rows, found, strict=True):
            ranked[row] = of_user
    return ranked


def _excluded(
    instance: Instance, user: int | None, session: UserSession, model: Recommender
) -> NDArray[np.int64]:
    """Items that the user does not get, ascending, each once."""
    parts = [model.items(instance.exclude_items)]
    if instance.exclude_seen:
        parts.append(np.unique(np.array(session.rows, dtype=np.int64)))
        if user is not None and model.artifact.data is not None:
            parts.append(model.artifact.data.seen(user).astype(np.int64))
    filled = [part for part in parts if len(part)]  # each ascending, each item once
    return filled[0] if len(filled) == 1 else np.unique(np.concatenate(parts))


def _candidates(instance: Instance, excluded: NDArray[np.int64], model: Recommender) -> NDArray[np.int64]:
    """The candidates that the user may get, ascending."""
    return np.setdiff1d(model.items(instance.candidates or ()), excluded, assume_unique=True)


def _popular(instance: Instance, excluded: NDArray[np.int64], model: Recommender) -> Ranked:
    """The most popular items that the user may get."""
    data = model.artifact.data
    if data is None:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    if instance.candidates is not None:
        items = _candidates(instance, excluded, model)
        return ordered(items, data.popularity[items].astype(np.float32))
    items = data.by_popularity[: instance.k + len(excluded)].astype(np.int64)
    items = items[~np.isin(items, excluded)]
    return items, data.popularity[items].astype(np.float32)


def _items(instance: Instance, ranked: Ranked, model: Recommender) -> list[dict[str, Any]]:
    """The first k items as in the response."""
    data = model.artifact.data
    if data is None:
        return []
    best = zip(ranked[0][: instance.k].tolist(), ranked[1][: instance.k].tolist(), strict=True)
    return [{"item_id": data.item_ids[item], "score": score} for item, score in best]
