"""Ranking in a large catalogue: the index gives a list of items, and the model's logits order it.

Without an index, or if the query is not finite, the whole catalogue is scored.

Shapes: B users, I items, F features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.ncf.model.base import Features, RankingModel
from ml.ncf.model.item_index import ItemIndex
from ml.ncf.model.ranked import Ranked, best

SHORTLIST = 256  # items with the best inner products, which a model with further parts ranks again
EXHAUSTIVE_BATCH = 16  # users whose scores of the whole catalogue are in memory


def best_items(
    model: RankingModel,
    index: ItemIndex | None,
    features: Features,
    excluded: Sequence[NDArray],
    k: int,
    *,
    users: Tensor | None = None,
) -> list[Ranked]:
    """The k best items of each user without the excluded ones; shorter if fewer items remain.

    Scores that are not finite are part of the result, so that the caller notices them.

    Args:
        model: computes the scores.
        index: of its items; None: all items are scored.
        features: of the users, (B, F) each.
        excluded: items that each user does not get, ascending, each once.
        k: length of a list.
        users: (B,), if the features are those of trained users.
    """
    queries = None if index is None else model.query(features)
    if index is None or queries is None or not torch.isfinite(queries).all():
        return _exhaustive(model, features, excluded, k, users)
    if model.is_dot_product:
        return index.search(model, queries, excluded, k)
    n_candidates = max(SHORTLIST, 2 * k)
    found = index.search(model, queries, excluded, n_candidates, shortlist=n_candidates)
    return [best(*each, k) for each in model.rescored(features, found, excluded)]


def score_items(model: RankingModel, features: Features, items: NDArray[np.int64]) -> NDArray[np.float32]:
    """Logits of one user, with features (1, F), and items (n,): (n,)."""
    return model.pairs(features, model.item_features(torch.from_numpy(items))).numpy()


def _exhaustive(
    model: RankingModel, features: Features, excluded: Sequence[NDArray], k: int, users: Tensor | None
) -> list[Ranked]:
    """The same by scoring the catalogue, some users at a time."""
    everything = torch.arange(model.config.n_items)
    ranked: list[Ranked] = []
    for start in range(0, len(excluded), EXHAUSTIVE_BATCH):
        part = slice(start, start + EXHAUSTIVE_BATCH)
        if users is not None:
            scores = model.score_catalogue(users[part])
        else:
            scores = model.cross(tuple(each[part] for each in features), model.item_features(everything))
        ranked += [
            _best_of(each, hidden, k) for each, hidden in zip(scores.numpy(), excluded[part], strict=True)
        ]
    return ranked


def _best_of(scores: NDArray[np.float32], excluded: NDArray, k: int) -> Ranked:
    """The k best items of one user from the scores of the catalogue (I,)."""
    bad = np.flatnonzero(~np.isfinite(scores))[:k]
    if len(bad):
        return bad, scores[bad]
    allowed = np.ones(len(scores), dtype=bool)
    allowed[excluded] = False
    n_found = min(k, int(allowed.sum()))
    if not n_found:
        return bad, scores[bad]
    shown = np.where(allowed, scores, -np.inf).astype(np.float32)
    # With all items that tie with the last one, so that ties are in the order of the catalogue.
    last = torch.from_numpy(shown).topk(n_found).values[-1].item()
    items = np.flatnonzero(shown >= last)
    return best(items, scores[items], n_found)
