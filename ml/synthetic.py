"""Generator of synthetic interactions with learnable preferences.

``python -m ml.synthetic --output shop.csv --users 1500 --items 800 --interactions 60000 --seed 7``

Each user has a Dirichlet distribution over item categories, and the popularity within a category follows
Zipf's law. Events depend on nothing else, so a model of user preferences ranks better than popularity, and
popularity better than chance. Events are grouped in sessions over half a year; some repeat an earlier
user-item pair. Equal arguments give equal bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HEADER = "user_id,item_id,timestamp"
MIN_EVENTS_PER_USER = 8  # distinct items; above the minimum of the preparation's filter
MAX_DENSITY = 0.5  # of the user-item matrix; a denser one has too few unseen items to rank

_START_S = 1_777_593_600  # 2026-05-01T00:00:00Z
_SPAN_S = 180 * 24 * 3600
_EVENTS_PER_SESSION = 6
_MAX_PAUSE_S = 240  # between two events of a session
_CATEGORY_SKEW = 0.5  # exponent of the category weights by rank
_ITEM_SKEW = 0.9  # exponent of Zipf's law within a category
_CONCENTRATION = 1.6  # of the Dirichlet distribution: the smaller, the fewer categories per user
_MIN_CATEGORY_WEIGHT = 1e-4  # of any category for any user
_ACTIVITY_SIGMA = 0.6  # of the log-normal number of events per user
_REPEATED_FRACTION = 0.05  # of events that repeat an earlier user-item pair


@dataclass(frozen=True)
class SyntheticEvents:
    """N events in order of time."""

    user: NDArray[np.int64]  # (N,), from 0
    item: NDArray[np.int64]  # (N,), from 0
    timestamp: NDArray[np.int64]  # (N,), Unix seconds


def generate(*, n_users: int, n_items: int, n_interactions: int, seed: int) -> SyntheticEvents:
    """Generate events.

    Args:
        n_users: U.
        n_items: I.
        n_interactions: N, repeated pairs included.
        seed: seed of every random number.

    Raises:
        ValueError: there are too few or too many interactions for that many users and items.
    """
    _check_sizes(n_users, n_items, n_interactions)
    rng = np.random.default_rng(seed)
    n_repeated = int(_REPEATED_FRACTION * (n_interactions - MIN_EVENTS_PER_USER * n_users))
    n_distinct = _activity(rng, n_users, n_items, n_interactions - n_repeated)
    log_weights = np.log(_preferences(rng, n_users, n_items))  # (U, I)
    repeated = np.bincount(rng.integers(n_users, size=n_repeated), minlength=n_users)
    users, items, times = [], [], []
    for number in range(n_users):
        chosen = _choose(rng, log_weights[number], n_distinct[number])
        taken = np.concatenate([chosen, rng.choice(chosen, size=repeated[number])])
        users.append(np.full(len(taken), number))
        items.append(taken)
        times.append(_session_times(rng, len(taken)))
    user, item, timestamp = (np.concatenate(parts) for parts in (users, items, times))
    order = np.lexsort((item, user, timestamp))
    return SyntheticEvents(user[order], item[order], timestamp[order])


def write_csv(interactions: SyntheticEvents, path: Path) -> None:
    """Write the events as CSV with a header; ids are strings such as u000123 and i00045."""
    events = zip(
        interactions.user.tolist(), interactions.item.tolist(), interactions.timestamp.tolist(), strict=True
    )
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(f"{HEADER}\n")
        stream.writelines(f"u{user:06d},i{item:05d},{timestamp}\n" for user, item, timestamp in events)


def main(argv: Sequence[str] | None = None) -> int:
    """Write a CSV file; returns the exit status: 0, or 2 for inconsistent arguments."""
    parser = argparse.ArgumentParser(prog="ml.synthetic", description="Write synthetic events.")
    parser.add_argument("--output", type=Path, required=True, help="the CSV file to write")
    parser.add_argument("--users", type=int, default=1500)
    parser.add_argument("--items", type=int, default=800)
    parser.add_argument("--interactions", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args(argv)
    try:
        interactions = generate(
            n_users=given.users, n_items=given.items, n_interactions=given.interactions, seed=given.seed
        )
        write_csv(interactions, given.output)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"ml.synthetic: {error}\n")
        return 2
    sys.stdout.write(f"{given.output}: {len(interactions.user)} events\n")
    return 0


def _check_sizes(n_users: int, n_items: int, n_interactions: int) -> None:
    least = MIN_EVENTS_PER_USER * n_users
    most = int(MAX_DENSITY * n_users * n_items)
    if n_users < 1 or n_items < 1 or not least <= n_interactions <= most:
        raise ValueError(
            f"{n_interactions} interactions for {n_users} users and {n_items} items: "
            f"give from {least} ({MIN_EVENTS_PER_USER} per user) to {most} (half of all pairs)"
        )


def _activity(rng: np.random.Generator, n_users: int, n_items: int, n_events: int) -> NDArray[np.int64]:
    """Distinct items per user, log-normal, at least MIN_EVENTS_PER_USER, with sum n_events: (U,)."""
    activity = rng.lognormal(sigma=_ACTIVITY_SIGMA, size=n_users)
    bounds = np.cumsum(activity) / activity.sum() * (n_events - MIN_EVENTS_PER_USER * n_users)
    counts = MIN_EVENTS_PER_USER + np.diff(np.floor(bounds + 0.5).astype(np.int64), prepend=0)
    # Events of a user beyond the size of the catalogue are moved to the next most active user.
    excess = 0
    for user in np.argsort(-counts, kind="stable"):
        wanted = counts[user] + excess
        counts[user] = min(wanted, n_items)
        excess = wanted - counts[user]
    return counts


def _preferences(rng: np.random.Generator, n_users: int, n_items: int) -> NDArray[np.float64]:
    """Weight of each item for each user; rows sum to approximately 1: (U, I)."""
    n_categories = max(2, round(0.7 * n_items**0.5))
    category = rng.permutation(np.arange(n_items) % n_categories)  # (I,)
    rank = np.empty(n_items)
    for each in range(n_categories):
        members = np.flatnonzero(category == each)
        rank[members] = rng.permutation(len(members)) + 1
    within = rank**-_ITEM_SKEW
    within /= np.bincount(category, weights=within, minlength=n_categories)[category]
    weight = np.arange(1, n_categories + 1) ** -_CATEGORY_SKEW
    mixture = rng.dirichlet(_CONCENTRATION * weight / weight.sum(), size=n_users) + _MIN_CATEGORY_WEIGHT
    return mixture[:, category] * within


def _choose(rng: np.random.Generator, log_weights: NDArray[np.float64], n_items: int) -> NDArray[np.int64]:
    """Draw distinct items by weight, in random order: (n_items,).

    The largest log-weights plus Gumbel noise are a weighted sample without replacement (Efraimidis and
    Spirakis 2006, "Weighted random sampling with a reservoir").
    """
    keys = log_weights + rng.gumbel(size=log_weights.shape)
    return rng.permutation(np.argpartition(-keys, n_items - 1)[:n_items])


def _session_times(rng: np.random.Generator, n_events: int) -> NDArray[np.int64]:
    """Strictly increasing Unix times in seconds, in sessions of a few minutes: (n_events,)."""
    n_sessions = -(-n_events // _EVENTS_PER_SESSION)
    starts = np.sort(rng.integers(_SPAN_S, size=n_sessions))
    session = np.sort(rng.integers(n_sessions, size=n_events))
    pauses = np.cumsum(rng.integers(1, _MAX_PAUSE_S, size=n_events))
    return _START_S + starts[session] + pauses


if __name__ == "__main__":
    sys.exit(main())
