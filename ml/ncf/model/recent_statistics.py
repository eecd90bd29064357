"""Statistics of the interactions, from which the inputs of the MLP over recent items are computed.

Shapes: U users, I items in the catalogue, R recent items of a user, N neighbours of an item, G gaps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Places of items that are this many places older than the last one; of the oldest, if there are fewer.
GAP_PLACES = (1, 4, 19)
LOG_SCALE = 0.3  # of logarithms of counts, so that all inputs have a range of a few units


@dataclass(frozen=True, eq=False)
class RecentStatistics:
    """What the inputs are computed from, as the artifact stores it.

    Attributes:
        neighbours: (I, N) int32, the items that are visited together with each item; -1: no more.
        strengths: (I, N) float32, how often, relative to the neighbour's popularity; 0: none.
        recent: (U, R) int32, the last items of each user, newest first; -1: no more.
        item_counts: (I, 2) float32, `log_count` of the users, in the whole training and at its end.
        user_counts: (U,) float32, `log_count` of the items.
        gaps: (U, G) float32, `log_count` of the seconds from the item at each of `GAP_PLACES` to the last.
    """

    neighbours: Tensor
    strengths: Tensor
    recent: Tensor
    item_counts: Tensor
    user_counts: Tensor
    gaps: Tensor

    @classmethod
    def empty(
        cls, n_users: int, n_items: int, n_recent: int, n_neighbours: int, n_gaps: int
    ) -> RecentStatistics:
        """Without any interaction."""
        pairs = n_items, n_neighbours
        return cls(
            neighbours=torch.full(pairs, -1, dtype=torch.int32),
            strengths=torch.zeros(pairs),
            recent=torch.full((n_users, n_recent), -1, dtype=torch.int32),
            item_counts=torch.zeros(n_items, 2),
            user_counts=torch.zeros(n_users),
            gaps=torch.zeros(n_users, n_gaps),
        )


def log_count(counts: Tensor) -> Tensor:
    """A count as an input."""
    return torch.log1p(counts.float()) * LOG_SCALE
