"""Fit the map of sessions to user vectors (`ml.ncf.model.session`) on the users of a trained model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- the name that PyTorch's own documentation gives it
from torch import Tensor

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation import metrics
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.evaluation.new_users import session_scores
from ml.ncf.model.base import RankingModel
from ml.ncf.model.finite import require_finite
from ml.ncf.model.ncf import NCF
from ml.ncf.model.recent import RecentNCF
from ml.ncf.model.session import DEFAULT_HALF_LIFE, SessionMap
from ml.ncf.objectives.histories import HistoryWeights, full_histories
from ml.settings.metrics import CUTOFF

HALF_LIVES = (DEFAULT_HALF_LIFE, 32.0, 8.0, 4.0, math.inf)
RIDGES = (100.0, 10.0, 1000.0)
MAX_USERS = 50_000  # on which a map is fitted: many times the number of its rows
MAX_SESSIONS = 5_000  # on which half-life and ridge are selected: standard error of HR 0.007
MIN_SESSIONS = 50  # with fewer, the first half-life and ridge are taken: their metrics would be noise


def fit_session_map(
    model: RankingModel,
    train: Interactions,
    validation: EvaluationSet,
    rng: np.random.Generator,
    *,
    half_lives: Sequence[float] = HALF_LIVES,
    ridges: Sequence[float] = RIDGES,
) -> SessionMap | None:
    """The map of a model; None for a family whose sessions need none.

    Half-life and ridge are those with the highest NDCG for users who are treated as new: half of the
    validation users are left out of the fit, and are ranked by their last items of `train` without the
    held-out ones, which are among the pairs of a refitted model.

    Args:
        model: the trained model.
        train: the pairs that it was trained on, or the train split.
        validation: held-out items of users among negatives.
        rng: of the samples of users.
        half_lives, ridges: the values to choose from; the first of equal results is taken.
    """
    if isinstance(model, RecentNCF):
        model = model.base  # whose user vectors the map computes
    if not isinstance(model, NCF):
        return None
    users = np.flatnonzero(train.counts)
    users = np.sort(rng.choice(users, min(len(users), MAX_USERS), replace=False))
    known = _without_held_out(train, validation)
    rows = rng.permutation(np.flatnonzero(known.counts[validation.users.numpy()]))[:MAX_SESSIONS]
    rows = rows[: len(rows) // 2]
    chosen = (half_lives[0], ridges[0])
    if len(rows) >= MIN_SESSIONS:
        left_out = validation.users[torch.from_numpy(rows)].numpy()
        fitted_on = np.setdiff1d(users, left_out)
        results = {}
        for half_life in half_lives:
            for ridge, found in _fit(model, train, fitted_on, half_life, ridges).items():
                results[half_life, ridge] = _ndcg(model, found, known, validation, rows)
        chosen = max(results, key=lambda each: results[each])
    half_life, ridge = chosen
    return _fit(model, train, users, half_life, [ridge])[ridge]


def _without_held_out(pairs: Interactions, validation: EvaluationSet) -> Interactions:
    """The pairs without those that validation ranks."""
    keys = pairs.users.astype(np.int64) * pairs.n_items + pairs.indices
    held_out = validation.users * pairs.n_items + validation.items[:, 0]
    return pairs.where(~np.isin(keys, held_out.numpy()))


@torch.no_grad()
def _fit(
    model: NCF, train: Interactions, users: np.ndarray, half_life: float, ridges: Sequence[float]
) -> dict[float, SessionMap]:
    """Ridge regression from pooled item vectors (B, D) to the input vectors of users (B, D), per tower.

    The ridge is a number of users whose pooled vectors are as long as those of the users on average.
    """
    rows = torch.from_numpy(users.astype(np.int64))
    history = full_histories(train, rows, HistoryWeights(half_life))
    found: dict[float, list[Tensor]] = {ridge: [] for ridge in ridges}
    for tower in model.towers:
        pooled = F.embedding_bag(
            history.items,
            tower.item_embedding.weight,
            history.offsets,
            mode="sum",
            per_sample_weights=history.weights,
        ).double()
        target = tower.user_input.embedding.weight[rows].double()
        gram, product = pooled.T @ pooled, pooled.T @ target
        unit = gram.diagonal().mean() / len(users) + torch.finfo(torch.float64).tiny
        for ridge in ridges:
            matrix = gram + ridge * unit * torch.eye(len(gram), dtype=gram.dtype)
            found[ridge].append(torch.linalg.solve(matrix, product).float())
    for maps in found.values():
        for each in maps:
            require_finite(each, "maps of sessions")
    return {ridge: SessionMap(half_life, tuple(maps)) for ridge, maps in found.items()}


def _ndcg(
    model: NCF, session_map: SessionMap, known: Interactions, validation: EvaluationSet, rows: np.ndarray
) -> float:
    """NDCG of validation rows whose users are ranked by a session of their last items in `known`."""
    subset = validation.subset(rows)
    scores = session_scores(model, session_map, known, subset)
    return -math.inf if scores is None else metrics.of_scores(scores, CUTOFF)["ndcg"]
