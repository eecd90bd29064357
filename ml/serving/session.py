"""The session of a request: recent items by index, and the features that the model computes from them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ml.ncf.model.base import Features
from ml.ncf.model.session import Session
from ml.serving.request import Instance
from ml.serving.store import Recommender


@dataclass(frozen=True, eq=False)
class UserSession:
    """Recent items of a request for one user.

    Attributes:
        rows: known recent items, oldest first.
        features: features of the user with the session; None without known items, or without sessions in the
            model.
        n_ignored: number of recent items without an effect; None if the request has no recent items.
    """

    rows: tuple[int, ...] = ()
    features: Features | None = None
    n_ignored: int | None = None

    def strategy(self, is_known_user: bool) -> str:
        """Strategy in the response for a user with features, trained or of the session."""
        if self.features is None:
            return "ncf"
        return "ncf+session" if is_known_user else "session"


def session_of(instance: Instance, user: int | None, model: Recommender) -> UserSession:
    """The session of a request; the model ignores items outside the catalogue.

    Args:
        instance: the request.
        user: index of its user; None: the user is new.
        model: the loaded artifact.
    """
    if instance.recent_items is None:
        return UserSession()
    known = [(model.item(item.item_id), item.weight) for item in instance.recent_items]
    found = [(row, weight) for row, weight in known if row is not None]
    rows = tuple(row for row, _ in found)
    features = _features(rows, [weight for _, weight in found], user, model) if rows else None
    n_used = 0 if features is None else len(rows)
    return UserSession(rows, features, n_ignored=len(known) - n_used)


def _features(
    rows: tuple[int, ...], weights: list[float], user: int | None, model: Recommender
) -> Features | None:
    artifact = model.artifact
    if artifact.model is None or artifact.data is None:
        return None
    session = Session(
        items=torch.tensor(rows),
        weights=torch.tensor(weights),
        user=user,
        n_known=0 if user is None else len(artifact.data.seen(user)),
    )
    with torch.inference_mode():
        return artifact.model.session_features(session, artifact.session)
