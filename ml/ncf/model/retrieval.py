"""Maximum-inner-product search: the best items of users without scoring the whole catalogue.

Items are sorted by descending norm and scanned in blocks. No inner product with the remaining items exceeds
the product of the norms (Cauchy-Schwarz), so a scan ends when the k-th best score is above that bound
(length-based pruning: Teflioudi et al. 2015, LEMP, section 3). The result is exact if the score is an inner
product; otherwise the full model ranks the items with the best inner products again.

Shapes: B users, I items, H items in the head, F factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.ncf.model.base import Features, RankingModel

FORMAT = 1
Ranked = tuple[NDArray[np.int64], NDArray[np.float32]]  # items and their scores, highest first
MIN_ITEMS = 20_000  # in a smaller catalogue one matrix product takes about as long as the search
HEAD_FRACTION = 0.1  # of the items, those with the greatest norms, whose vectors are copied in that order
MIN_HEAD = 200_000
FIRST_BLOCK = 1024  # items; each block is twice as long as the one before
SHORTLIST = 512  # items that the full model ranks again
EXHAUSTIVE_BATCH = 16  # users whose scores of the whole catalogue are in memory
BOUND_SLACK = 1e-5  # of the bound: rounding of the inner products in float32


@dataclass(frozen=True, eq=False)
class NormIndex:
    """Items by descending norm of their vectors."""

    order: NDArray[np.int32]  # (I,), items by descending norm
    position: NDArray[np.int32]  # (I,): order[position[i]] is i
    norms: NDArray[np.float32]  # (I,), descending
    head: NDArray[np.float32]  # (H, F), vectors of order[:H]

    @classmethod
    def build(
        cls, model: RankingModel, min_items: int = MIN_ITEMS, min_head: int = MIN_HEAD
    ) -> NormIndex | None:
        """The index of a model; None if the catalogue is small or the model has no vectors."""
        n_items = model.config.n_items
        if n_items < min_items:
            return None
        with torch.inference_mode():
            vectors = model.item_vectors(torch.arange(n_items))
            if vectors is None:
                return None
            norms = torch.linalg.vector_norm(vectors, dim=1).numpy()
            order = np.argsort(-norms, kind="stable").astype(np.int32)
            position = np.empty_like(order)
            position[order] = np.arange(n_items, dtype=np.int32)
            n_head = min(n_items, max(min_head, int(n_items * HEAD_FRACTION)))
            head = vectors[torch.from_numpy(order[:n_head].astype(np.int64))].numpy()
        return cls(order=order, position=position, norms=norms[order], head=head)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> NormIndex:
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    def arrays(self) -> dict[str, NDArray]:
        """The arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def search(
        self, queries: Tensor, excluded: Sequence[NDArray], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Items of the head with the greatest inner products, and whether no other item has a greater one.

        Args:
            queries: (B, F).
            excluded: items that each user does not get.
            k: length of a list.

        Returns:
            (B, k), -1 where the head has fewer items, and (B,).
        """
        head = torch.from_numpy(self.head)
        limit = torch.linalg.vector_norm(queries, dim=1) * (1 + BOUND_SLACK)  # (B,)
        hidden = [np.sort(self.position[items]) for items in excluded]
        scores = torch.full((len(queries), k), -torch.inf)
        found = torch.full((len(queries), k), -1)
        is_exact = torch.zeros(len(queries), dtype=torch.bool)
        active = torch.arange(len(queries))
        start, step = 0, FIRST_BLOCK
        while start < len(head) and len(active):
            end = min(start + step, len(head))
            block = queries[active] @ head[start:end].T  # (A, end - start)
            _hide(block, [hidden[user] for user in active.tolist()], start, end)
            best, place = block.topk(min(k, end - start), dim=1)
            merged = torch.cat([scores[active], best], dim=1)
            items = torch.cat([found[active], torch.where(best == -torch.inf, -1, place + start)], dim=1)
            scores[active], chosen = merged.topk(k, dim=1)
            found[active] = items.gather(1, chosen)
            rest = float(self.norms[end]) if end < len(self.norms) else 0.0
            done = scores[active, -1] > limit[active] * rest
            if end == len(self.norms):
                done[:] = True
            is_exact[active[done]] = True
            active = active[~done]
            start, step = end, 2 * step
        items = self.order[found.clamp(min=0).numpy()].astype(np.int64)
        return np.where(found.numpy() < 0, -1, items), is_exact.numpy()


def _hide(block: Tensor, hidden: Sequence[NDArray], start: int, end: int) -> None:
    """Set the scores of excluded items, given by their sorted positions, to -inf."""
    for row, positions in enumerate(hidden):
        first, last = np.searchsorted(positions, (start, end))
        if last > first:
            block[row, torch.from_numpy(positions[first:last].astype(np.int64) - start)] = -torch.inf


def best_items(
    model: RankingModel,
    index: NormIndex | None,
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
        excluded: items that each user does not get, each once.
        k: length of a list.
        users: (B,), if the features are those of trained users.
    """
    queries = None if index is None else model.query(features)
    if index is None or queries is None or not torch.isfinite(queries).all():
        return _exhaustive(model, features, excluded, k, users)
    found, is_exact = index.search(queries, excluded, k if model.is_dot_product else max(SHORTLIST, 2 * k))
    ranked: list[Ranked] = []
    for row, hidden in enumerate(excluded):
        one = tuple(each[row : row + 1] for each in features)
        items = found[row][found[row] >= 0]
        few = len(items) < min(k, model.config.n_items - len(hidden))
        if few or (model.is_dot_product and not is_exact[row]):
            ranked += _exhaustive(model, one, [hidden], k, None if users is None else users[row : row + 1])
        else:
            best, scores = ordered(items, score_items(model, one, items))
            ranked.append((best[:k], scores[:k]))
    return ranked


def ordered(items: NDArray[np.int64], scores: NDArray[np.float32]) -> Ranked:
    """Highest score first, ties by index."""
    order = np.lexsort((items, -scores))
    return items[order], scores[order]


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
    best, of_best = ordered(items, scores[items])
    return best[:n_found], of_best[:n_found]
