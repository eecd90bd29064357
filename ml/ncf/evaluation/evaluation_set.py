"""Evaluation set: held-out items among sampled negatives, and the scores of a model for them.

Shapes: C held-out pairs, N negatives per pair, B users scored at once. A user with fewer than N unseen items
is ranked among those, and a user without any is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.ncf.data.interactions import DataError, Interactions
from ml.ncf.data.sampling import UnseenSampler
from ml.ncf.model.base import History, HistoryOf, RankingModel
from ml.ncf.model.finite import require_finite

SCORING_BATCH = 1024  # users per batch when scores are computed
MAX_CATALOGUE_ITEMS = 20_000  # logits of that many items for a batch: 80 MiB


def no_history(_: Tensor) -> None:
    """`HistoryOf` of a model without histories."""


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Held-out items and their negatives: row c ranks `items[c, 0]` among `items[c]` for `users[c]`.

    Row c has `n_negatives[c]` negatives; the columns after them repeat the held-out item and are not ranked.
    """

    users: Tensor  # (C,)
    items: Tensor  # (C, 1 + N)
    n_negatives: Tensor | None = None  # (C,); None: every row has N
    n_left_out: int = 0  # held-out pairs of users without an unseen item, which are not in the set

    @classmethod
    def sampled(
        cls,
        held_out: Interactions,
        seen: Interactions,
        n_negatives: int,
        rng: np.random.Generator,
        limit: int | None = None,
        *,
        existing_only: bool = False,
    ) -> EvaluationSet:
        """Each held-out pair with N distinct negatives, drawn uniformly from the items not in `seen`.

        A user with fewer than N items that are not in `seen` gets all of them, and a user
        without any is left out. The same holds for items that exist, with `existing_only`.

        Args:
            held_out: pairs to rank.
            seen: pairs that are never negatives; they include `held_out`.
            n_negatives: N.
            rng: generator of the negatives and of the sample of pairs.
            limit: maximum C; a uniform sample is drawn from more pairs. None: no limit.
            existing_only: whether an item is a negative of newer pairs only: the time of its first pair in
                `seen` is at most that of the held-out pair.

        Raises:
            DataError: there is no pair, or none of a user with an unseen item, or the times are not known
                and `existing_only` needs them.
        """
        if not len(held_out):
            raise DataError("no held-out pairs to rank")
        chosen = np.arange(len(held_out))
        if limit is not None and limit < len(chosen):
            chosen = np.sort(rng.choice(len(chosen), limit, replace=False))
        times = held_out.times if existing_only else None
        sampler = UnseenSampler(seen, seen.first_times() if existing_only else None)
        n_chosen, n_unseen = len(chosen), sampler.n_unseen_at(held_out.users, times)
        chosen = chosen[n_unseen[chosen] > 0]
        if not len(chosen):
            raise DataError("every user has seen all items: nothing is left to rank")
        users, held = held_out.users[chosen].astype(np.int64), held_out.indices[chosen][:, None]
        count = np.minimum(n_unseen[chosen], n_negatives)
        blocks = [
            sampler.sample_distinct_up_to(
                users[rows], n_negatives, rng, None if times is None else times[chosen[rows]]
            ).astype(np.int32)
            for rows in np.split(
                np.arange(len(users)), range(SCORING_BATCH * 16, len(users), SCORING_BATCH * 16)
            )
        ]
        negatives = np.concatenate(blocks)
        is_negative = np.arange(n_negatives) < count[:, None]
        items = np.concatenate([held, np.where(is_negative, negatives, held)], axis=1)
        return cls(
            torch.from_numpy(users),
            torch.from_numpy(items),
            None if is_negative.all() else torch.from_numpy(count),
            n_left_out=n_chosen - len(chosen),
        )

    def subset(self, rows: NDArray[np.int64]) -> EvaluationSet:
        """The given rows of the set."""
        chosen = torch.from_numpy(rows)
        count = None if self.n_negatives is None else self.n_negatives[chosen]
        return replace(self, users=self.users[chosen], items=self.items[chosen], n_negatives=count)

    @property
    def fewest_negatives(self) -> int:
        """The smallest number of negatives of a row."""
        return self.items.shape[1] - 1 if self.n_negatives is None else int(self.n_negatives.min())

    @property
    def n_with_fewer_negatives(self) -> int:
        """Number of rows with fewer than N negatives."""
        return 0 if self.n_negatives is None else int((self.n_negatives < self.items.shape[1] - 1).sum())

    def masked(self, scores: Tensor) -> Tensor:
        """Scores (C, 1 + N) with -inf in the columns that are not ranked."""
        if self.n_negatives is None:
            return scores
        is_ranked = torch.arange(scores.shape[1]) <= self.n_negatives[:, None]
        return torch.where(is_ranked, scores, -torch.inf)

    def renumbered(self, users: Tensor, items: Tensor) -> tuple[EvaluationSet, Tensor, Tensor]:
        """The same set with other indices, given the new index of each user and item (-1: unknown).

        Returns the set, whether each user is known (C,), and whether each item is known (C, 1 + N); unknown
        users and items have index 0 in the set.
        """
        new_users, new_items = users[self.users], items[self.items]
        known = replace(self, users=new_users.clamp(min=0), items=new_items.clamp(min=0))
        return known, new_users >= 0, new_items >= 0

    def scores(self, model: RankingModel, history_of: HistoryOf = no_history) -> Tensor:
        """Logits of the model, in evaluation mode: (C, 1 + N); -inf in the columns that are not ranked.

        Raises: as `logits`.
        """
        return self.masked(self.logits(model, history_of))

    def logits(self, model: RankingModel, history_of: HistoryOf = no_history) -> Tensor:
        """As `scores`, with the logit of the held-out item in the columns that are not ranked.

        Raises:
            ml.ncf.model.finite.NotFiniteError: the model gives a logit that is not finite.
        """
        was_training = model.training
        model.eval()
        batches = []
        with torch.inference_mode():
            for users, items in zip(
                self.users.split(SCORING_BATCH), self.items.split(SCORING_BATCH), strict=True
            ):
                batches.append(_scores(model, users, items, history_of(users)).float())
        model.train(was_training)
        logits = torch.cat(batches)
        require_finite(logits, "scores")
        return logits


def index_of(ids: NDArray[Any], known: NDArray[Any]) -> Tensor:
    """Index of each id in `known`, -1 if it is not there: (n,)."""
    order = np.argsort(known, kind="stable")
    position = np.searchsorted(known, ids, sorter=order).clip(max=len(known) - 1)
    found = order[position]
    return torch.from_numpy(np.where(known[found] == ids, found, -1))


def _scores(model: RankingModel, users: Tensor, items: Tensor, history: History | None) -> Tensor:
    """Logits of users (B,) with items (B, 1 + N).

    For a dot product, one matrix product over a small catalogue is faster than gathering scattered rows.
    """
    if model.is_dot_product and model.config.n_items <= MAX_CATALOGUE_ITEMS:
        return model.score_catalogue(users, history).gather(1, items.long())
    return model(users, items, history)
