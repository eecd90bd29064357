"""Held-out items to rank, and the scores that a model gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.ncf.data.prepared_run import DataError, Interactions
from ml.ncf.data.sampling import UnseenSampler
from ml.ncf.model.ncf import NCF, History, HistoryOf

SCORING_BATCH = 1024  # users scored at once
CATALOGUE_ITEMS = 20_000  # logits of that many items, for a batch: 80 MiB


@dataclass(frozen=True, eq=False)
class Candidates:
    """Held-out items among negatives: row c ranks `items[c, 0]` against the rest for `users[c]`."""

    users: Tensor  # (C,)
    items: Tensor  # (C, 1 + N)

    @classmethod
    def sampled(
        cls,
        held_out: Interactions,
        seen: Interactions,
        n_negatives: int,
        rng: np.random.Generator,
        limit: int | None = None,
    ) -> Candidates:
        """Each held-out pair with different negatives that its user has nowhere in `seen`.

        Args:
            limit: rank a uniform sample of that many pairs where there are more.

        Raises:
            DataError: there is no pair, or a user has fewer unseen items than that.
        """
        if not len(held_out):
            raise DataError("no held-out pairs to rank")
        chosen = np.arange(len(held_out))
        if limit is not None and limit < len(chosen):
            chosen = np.sort(rng.choice(len(chosen), limit, replace=False))
        users = held_out.users[chosen].astype(np.int64)
        sampler = UnseenSampler(seen)
        parts = [
            sampler.sample_distinct(part, n_negatives, rng).astype(np.int32)
            for part in np.split(users, range(SCORING_BATCH * 16, len(users), SCORING_BATCH * 16))
        ]
        items = np.concatenate([held_out.indices[chosen][:, None], np.concatenate(parts)], axis=1)
        return cls(torch.from_numpy(users), torch.from_numpy(items))

    def renumbered(self, users: Tensor, items: Tensor) -> tuple[Candidates, Tensor, Tensor]:
        """The same in another numbering, given each index's new one (-1: unknown there).

        Returns the candidates, which users are known (C,), and which items are (C, 1 + N); what is unknown is
        number 0 in the candidates.
        """
        new_users, new_items = users[self.users], items[self.items]
        known = Candidates(new_users.clamp(min=0), new_items.clamp(min=0))
        return known, new_users >= 0, new_items >= 0

    def scores(self, model: NCF, history_of: HistoryOf = lambda _: None) -> Tensor:
        """The model's logits: (C, 1 + N)."""
        was_training = model.training
        model.eval()
        parts = []
        with torch.inference_mode():
            for users, items in zip(
                self.users.split(SCORING_BATCH), self.items.split(SCORING_BATCH), strict=True
            ):
                parts.append(_scores(model, users, items, history_of(users)).float())
        model.train(was_training)
        return torch.cat(parts)


def index_of(ids: NDArray[Any], known: NDArray[Any]) -> Tensor:
    """Where each id stands among the known ones, -1 where it does not: (n,)."""
    order = np.argsort(known, kind="stable")
    position = np.searchsorted(known, ids, sorter=order).clip(max=len(known) - 1)
    found = order[position]
    return torch.from_numpy(np.where(known[found] == ids, found, -1))


def _scores(model: NCF, users: Tensor, items: Tensor, history: History | None) -> Tensor:
    """Logits of users (B,) with items (B, 1 + N).

    For a dot product it is quicker to score a whole catalogue in one product than to gather scattered rows.
    """
    if model.mlp is None and model.config.n_items <= CATALOGUE_ITEMS:
        return model.score_catalogue(users, history).gather(1, items.long())
    return model(users, items, history)
