"""Warning of an id with a large share of all events: a text for anonymous users, a clerk or a crawler."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

_log = logging.getLogger("ml.preparation")
_MAX_SHARE = 0.03
_MAX_RATIO = 5.0  # to the share of an average id: in a small shop each id has a large share


def warn_of_heavy_id(name: str, heaviest: Sequence[Any] | None, n_ids: int, n_events: int) -> None:
    """Log a warning if one id has more than a few percent of all events, and far more than an average id.

    Args:
        name: user or item.
        heaviest: ``n_events`` and the id with the most events; None without events.
        n_ids: number of ids.
        n_events: number of events.
    """
    if heaviest is None:
        return
    n_of_id, text = heaviest
    share = n_of_id / max(1, n_events)
    if share > _MAX_SHARE and share > _MAX_RATIO / max(1, n_ids):
        _log.warning(
            "split: %s %r has %.1f%% of all events (%d of %d); if it stands for a missing %s, give "
            "--missing-ids=%s",
            name,
            text,
            100 * share,
            n_of_id,
            n_events,
            name,
            text,
        )
