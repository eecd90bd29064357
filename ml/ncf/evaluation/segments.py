"""Segments of users by the number of items that are known of them: new, light and heavy users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.ncf.data.interactions import Interactions

MAX_NEW_USER_ITEMS = 10
HEAVY_SHARE = 0.25  # of the users at most


@dataclass(frozen=True, eq=False)
class Segment:
    """Users with a number of known items in a range."""

    name: str
    known_items: list[int]  # fewest and most
    counts: NDArray[np.int64]  # (U,), number of known items of each user of the run

    def contains(self, users: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each user (C,) is in the segment."""
        fewest, most = self.known_items
        counts = self.counts[users]
        return (counts >= fewest) & (counts <= most)


def segments_of(known: Interactions) -> list[Segment]:
    """The segments of a run; together they contain each user once.

    `new`: at most `MAX_NEW_USER_ITEMS` items; `heavy`: of the others, those with more items than three
    quarters of all users have; `light`: the rest.

    Args:
        known: pairs that a model is trained on: train and validation.
    """
    counts = known.counts
    heavy = max(MAX_NEW_USER_ITEMS, int(np.quantile(counts, 1.0 - HEAVY_SHARE, method="higher"))) + 1
    most = max(heavy, int(counts.max()))
    ranges = {
        "new": [0, MAX_NEW_USER_ITEMS],
        "light": [MAX_NEW_USER_ITEMS + 1, heavy - 1],
        "heavy": [heavy, most],
    }
    return [Segment(name, known_items, counts) for name, known_items in ranges.items()]
