"""Population stability index of the items of two sets of pairs.

Items are grouped into bins of about equal shares of all earlier pairs, from the most to the least popular,
and one bin of items without an earlier pair. Single items would mostly measure the noise of a day's counts.
So would bins made from the counts of a short reference: an item that it lacks was often just unlucky.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

N_BINS = 10  # as the index is used for credit scores; 0.1 is called a small shift and 0.25 a large one
PSEUDO_COUNT = 0.5  # of each bin: an empty one would make the index infinite


def population_stability_index(
    now: NDArray[np.integer], before: NDArray[np.integer], earlier: NDArray[np.integer]
) -> float | None:
    """Sum over bins of (p - q) ln(p / q), with the shares p of `now` and q of `before`.

    Kullback and Leibler 1951, "On information and sufficiency", section 2: the divergence J.

    Args:
        now: (I,) number of pairs of each item.
        before: (I,) the same of the reference.
        earlier: (I,) the same of all pairs before `now`, of which the bins are made.

    Returns:
        0 for equal shares; None if either has no pairs.
    """
    if not now.sum() or not before.sum():
        return None
    bins = _bins(earlier)
    p, q = (_shares(np.bincount(bins, weights=counts, minlength=N_BINS + 1)) for counts in (now, before))
    return float(((p - q) * np.log(p / q)).sum())


def _bins(earlier: NDArray[np.integer]) -> NDArray[np.int64]:
    """Bin of each item (I,): `N_BINS` for one without pairs."""
    order = np.argsort(-earlier, kind="stable")
    # The middle of an item's share decides, so that an item larger than a bin does not leave the last empty.
    middle = np.cumsum(earlier[order]) - earlier[order] / 2
    bins = np.empty(len(earlier), dtype=np.int64)
    bins[order] = np.minimum((N_BINS * middle / earlier.sum()).astype(np.int64), N_BINS - 1)
    bins[earlier == 0] = N_BINS
    return bins


def _shares(counts: NDArray[np.number]) -> NDArray[np.float64]:
    smoothed = counts + PSEUDO_COUNT
    return smoothed / smoothed.sum()
