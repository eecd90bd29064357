"""An id with a large share of all events: a text for anonymous users, a clerk or a crawler."""

from __future__ import annotations

_MAX_SHARE = {"user": 0.03, "item": 0.2}  # items are popular; users are not
_MAX_RATIO = 5.0  # to the share of an average id: in a small shop each id has a large share


def is_heavy(name: str, share: float, n_ids: int) -> bool:
    """Whether an id has more than a few percent of all events, and far more than an average id.

    Args:
        name: user or item.
        share: of the id with the most events, from 0 to 1.
        n_ids: number of ids.
    """
    return share > max(_MAX_SHARE[name], _MAX_RATIO / max(n_ids, 1))


def heavy_id_warning(
    name: str, heaviest: str | None, n_of_heaviest: int | None, n_ids: int, n_events: int | None
) -> str | None:
    """The warning if the id with the most events is heavy; otherwise None.

    Args:
        name: user or item.
        heaviest: the id with the most events; None without events.
        n_of_heaviest: its events.
        n_ids: number of ids.
        n_events: number of events.
    """
    if not n_of_heaviest or not n_events:
        return None
    share = n_of_heaviest / n_events
    if not is_heavy(name, share, n_ids):
        return None
    return (
        f"{name} {heaviest!r} has {100 * share:.1f}% of all events ({n_of_heaviest} of {n_events}); if it "
        f"stands for a missing {name}, give --missing-ids={heaviest}"
    )
