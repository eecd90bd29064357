"""A seeded shop: interactions in which taste can be learned.

``python -m ml.synthetic --output shop.csv --users 1500 --items 800 --interactions 60000 --seed 7``

Each user mixes a few categories (a Dirichlet draw around the categories' own weights), and within a
category popularity falls as Zipf's law has it. What a user takes depends on nothing else, so that a
model of tastes must beat popularity, while popularity is still worth something. Events come in
sessions spread over half a year, and some are returns to an item that the user already knows.
The same arguments give the same bytes.
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
MIN_EVENTS_PER_USER = 8  # distinct items, so that nobody falls to the preparation's filter
MAX_FILL = 0.5  # of the user-item matrix; beyond it there is hardly a choice left to learn from

_START_S = 1_777_593_600  # 2026-05-01T00:00:00Z
_SPAN_S = 180 * 24 * 3600
_EVENTS_PER_SESSION = 6
_MAX_PAUSE_S = 240  # between two events of a session
_CATEGORY_SKEW = 0.5  # exponent of the categories' weights by rank
_ITEM_SKEW = 0.9  # Zipf's exponent within a category
_TASTE_CONCENTRATION = 1.6  # of the Dirichlet draw: small means few categories a user
_STRAYING = 1e-4  # weight of a category that is not to the user's taste
_ACTIVITY_SIGMA = 0.6  # of the log-normal activity of users
_RETURN_SHARE = 0.05  # of events that repeat an earlier user-item pair


@dataclass(frozen=True)
class Interactions:
    """N events in order of time: users and items by number, times in Unix seconds."""

    user: NDArray[np.int64]  # (N,)
    item: NDArray[np.int64]  # (N,)
    timestamp: NDArray[np.int64]  # (N,)


def generate(*, n_users: int, n_items: int, n_interactions: int, seed: int) -> Interactions:
    """Draw a shop's interactions.

    Raises:
        ValueError: the interactions are too few or too many for that many users and items.
    """
    _check_sizes(n_users, n_items, n_interactions)
    rng = np.random.default_rng(seed)
    n_returns = int(_RETURN_SHARE * (n_interactions - MIN_EVENTS_PER_USER * n_users))
    n_distinct = _activity(rng, n_users, n_items, n_interactions - n_returns)
    log_weights = np.log(_tastes(rng, n_users, n_items))  # (U, I)
    returning = np.bincount(rng.integers(n_users, size=n_returns), minlength=n_users)
    users, items, times = [], [], []
    for number in range(n_users):
        chosen = _choose(rng, log_weights[number], n_distinct[number])
        taken = np.concatenate([chosen, rng.choice(chosen, size=returning[number])])
        users.append(np.full(len(taken), number))
        items.append(taken)
        times.append(_session_times(rng, len(taken)))
    user, item, timestamp = (np.concatenate(parts) for parts in (users, items, times))
    order = np.lexsort((item, user, timestamp))
    return Interactions(user[order], item[order], timestamp[order])


def write_csv(interactions: Interactions, path: Path) -> None:
    """Write the events as CSV with a header; ids are text, such as u000123 and i00045."""
    events = zip(
        interactions.user.tolist(), interactions.item.tolist(), interactions.timestamp.tolist(), strict=True
    )
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(f"{HEADER}\n")
        stream.writelines(f"u{user:06d},i{item:05d},{timestamp}\n" for user, item, timestamp in events)


def main(argv: Sequence[str] | None = None) -> int:
    """Write a shop; returns the exit status: 0, or 2 for arguments that do not fit together."""
    parser = argparse.ArgumentParser(prog="ml.synthetic", description="Write a synthetic shop's events.")
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
    most = int(MAX_FILL * n_users * n_items)
    if n_users < 1 or n_items < 1 or not least <= n_interactions <= most:
        raise ValueError(
            f"{n_interactions} interactions for {n_users} users and {n_items} items: "
            f"give from {least} ({MIN_EVENTS_PER_USER} a user) to {most} (half of all pairs)"
        )


def _activity(rng: np.random.Generator, n_users: int, n_items: int, n_events: int) -> NDArray[np.int64]:
    """Distinct items of each user: log-normal, at least MIN_EVENTS_PER_USER, n_events in all. (U,)"""
    share = rng.lognormal(sigma=_ACTIVITY_SIGMA, size=n_users)
    bounds = np.cumsum(share) / share.sum() * (n_events - MIN_EVENTS_PER_USER * n_users)
    counts = MIN_EVENTS_PER_USER + np.diff(np.floor(bounds + 0.5).astype(np.int64), prepend=0)
    # What the most active would take beyond the catalogue goes to the next user with room.
    excess = 0
    for user in np.argsort(-counts, kind="stable"):
        wanted = counts[user] + excess
        counts[user] = min(wanted, n_items)
        excess = wanted - counts[user]
    return counts


def _tastes(rng: np.random.Generator, n_users: int, n_items: int) -> NDArray[np.float64]:
    """How strongly each user is drawn to each item; rows add up to 1. (U, I)"""
    n_categories = max(2, round(0.7 * n_items**0.5))
    category = rng.permutation(np.arange(n_items) % n_categories)  # (I,)
    rank = np.empty(n_items)
    for each in range(n_categories):
        members = np.flatnonzero(category == each)
        rank[members] = rng.permutation(len(members)) + 1
    within = rank**-_ITEM_SKEW
    within /= np.bincount(category, weights=within, minlength=n_categories)[category]
    weight = np.arange(1, n_categories + 1) ** -_CATEGORY_SKEW
    mixture = rng.dirichlet(_TASTE_CONCENTRATION * weight / weight.sum(), size=n_users) + _STRAYING
    return mixture[:, category] * within


def _choose(rng: np.random.Generator, log_weights: NDArray[np.float64], n_items: int) -> NDArray[np.int64]:
    """Draw distinct items by weight, in random order.

    Gumbel noise makes the largest keys a weighted sample without replacement (Efraimidis and
    Spirakis 2006); the favourites come out first, so that the order has to be drawn anew.
    """
    keys = log_weights + rng.gumbel(size=log_weights.shape)
    return rng.permutation(np.argpartition(-keys, n_items - 1)[:n_items])


def _session_times(rng: np.random.Generator, n_events: int) -> NDArray[np.int64]:
    """Strictly increasing times in sessions of a few minutes, in Unix seconds. (n_events,)"""
    n_sessions = -(-n_events // _EVENTS_PER_SESSION)
    starts = np.sort(rng.integers(_SPAN_S, size=n_sessions))
    session = np.sort(rng.integers(n_sessions, size=n_events))
    pauses = np.cumsum(rng.integers(1, _MAX_PAUSE_S, size=n_events))
    return _START_S + starts[session] + pauses


if __name__ == "__main__":
    sys.exit(main())
