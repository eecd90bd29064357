"""Ranked lists: items of one user and their scores, highest first, ties by index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ranked = tuple[NDArray[np.int64], NDArray[np.float32]]  # items and their scores


def ordered(items: NDArray[np.int64], scores: NDArray[np.float32]) -> Ranked:
    """The items in the order of a ranked list."""
    order = np.lexsort((items, -scores))
    return items[order], scores[order]


def best(items: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Ranked:
    """The first k of a ranked list, without ordering the others.

    Scores that are not finite come first, so that the caller notices them.
    """
    if not np.isfinite(scores).all():
        bad = np.flatnonzero(~np.isfinite(scores))[:k]
        return items[bad], scores[bad]
    if len(items) > k:  # with all items that tie with the last one
        kept = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
        items, scores = items[kept], scores[kept]
    items, scores = ordered(items, scores)
    return items[:k], scores[:k]
