"""A prepared run as arrays: the splits as compressed rows, the id maps, the popularity.

Everything that a run must satisfy before a model may be trained on it is checked here, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml import manifest as manifests
from ml.contract import ITEMS_FILE, MANIFEST_FILE, POPULARITY_FILE, SPLITS, USERS_FILE

Locate = Callable[[str], Path]  # a channel's name to its folder


class DataError(ValueError):
    """A prepared run that cannot be used; the message names the channel, file or id."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """Distinct user-item pairs as compressed sparse rows.

    A user's items, ascending, are at `indptr[u]:indptr[u + 1]`.
    """

    indptr: NDArray[np.int64]  # (U + 1,)
    indices: NDArray[np.int32]  # (pairs,)
    n_items: int
    times: NDArray[np.int64] | None = None  # (pairs,), when each was; None: nobody knows

    @classmethod
    def from_pairs(
        cls,
        users: NDArray[np.integer],
        items: NDArray[np.integer],
        n_users: int,
        n_items: int,
        times: NDArray[np.int64] | None = None,
    ) -> Interactions:
        """From pairs in any order; a repeated pair is kept once, with its newest time."""
        keys = users.astype(np.int64) * n_items + items
        if times is None:
            keys = np.unique(keys)
        else:
            order = np.argsort(keys, kind="stable")
            keys = keys[order]
            first = np.flatnonzero(np.diff(keys, prepend=-1))
            times = np.maximum.reduceat(times[order], first) if len(first) else times[:0]
            keys = keys[first]
        counts = np.bincount(keys // n_items, minlength=n_users)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        return cls(indptr, (keys % n_items).astype(np.int32), n_items, times)

    @property
    def n_users(self) -> int:
        return len(self.indptr) - 1

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How many items each user has: (U,)."""
        return np.diff(self.indptr)

    @property
    def users(self) -> NDArray[np.int32]:
        """The user of each pair: (pairs,)."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), self.counts)

    @cached_property
    def recency(self) -> NDArray[np.int32] | None:
        """How many of its user's pairs are newer than each: (pairs,); None where no times are known."""
        if self.times is None:
            return None
        in_time = np.lexsort((self.indices, self.times, self.users))
        newer = np.repeat(self.indptr[1:], self.counts) - 1 - np.arange(len(self))
        recency = np.empty(len(self), dtype=np.int32)
        recency[in_time] = newer
        return recency

    def of(self, user: int) -> NDArray[np.int32]:
        """One user's items, ascending."""
        return self.indices[self.indptr[user] : self.indptr[user + 1]]

    def item_counts(self) -> NDArray[np.int64]:
        """How many users each item has: (I,)."""
        return np.bincount(self.indices, minlength=self.n_items)

    def union(self, *others: Interactions) -> Interactions:
        """Every pair of this and the others, over the same users and items."""
        parts = (self, *others)
        users = np.concatenate([part.users for part in parts])
        items = np.concatenate([part.indices for part in parts])
        known = [part.times for part in parts if part.times is not None]
        times = np.concatenate(known) if len(known) == len(parts) else None
        return Interactions.from_pairs(users, items, self.n_users, self.n_items, times)


@dataclass(frozen=True, eq=False)
class PreparedRun:
    """One prepared run in memory: the users and items that occur in a split, numbered anew.

    The run's id maps also hold those of earlier runs. Nothing could be learnt of them, so that they are no
    part of a model: serving takes such a user for an unknown one, and recommends no such item.
    """

    run_id: str
    user_ids: NDArray[np.str_]  # (U,), in the order of the run's map
    item_ids: NDArray[np.str_]  # (I,)
    splits: Mapping[str, Interactions]  # train, validation, test
    popularity: NDArray[np.int64]  # (I,), train interactions an item

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        return len(self.item_ids)

    def seen(self) -> Interactions:
        """What each user has seen in any split."""
        train, *rest = (self.splits[split] for split in SPLITS)
        return train.union(*rest)


def read_run(locate: Locate) -> PreparedRun:
    """Read and check the prepared run whose channels `locate` finds.

    Raises:
        DataError: a channel or file is missing, the manifest does not describe the files, an id is
            outside the maps, or a split is empty.
        ml.manifest.ManifestError: the manifest itself cannot be trusted.
    """
    manifest = manifests.load(_single(locate, "manifest", MANIFEST_FILE))
    users_path = _single(locate, "users", USERS_FILE)
    items_path = _single(locate, "items", ITEMS_FILE)
    popularity_path = _single(locate, "popularity", POPULARITY_FILE)
    files = {USERS_FILE: users_path, ITEMS_FILE: items_path, POPULARITY_FILE: popularity_path}
    for split in SPLITS:
        folder = locate(split)
        files |= {name: folder / Path(name).name for name in manifest.split_files(split)}
    manifests.verify_files(manifest, files)

    user_ids = _read_ids(users_path, "user")
    item_ids = _read_ids(items_path, "item")
    pairs = {
        split: _read_split(
            split, [files[name] for name in manifest.split_files(split)], len(user_ids), len(item_ids)
        )
        for split in SPLITS
    }
    has_user, new_user = _occurring([users for users, _, _ in pairs.values()], len(user_ids))
    has_item, new_item = _occurring([items for _, items, _ in pairs.values()], len(item_ids))
    n_users, n_items = int(has_user.sum()), int(has_item.sum())
    return PreparedRun(
        run_id=manifest.run_id,
        user_ids=user_ids[has_user],
        item_ids=item_ids[has_item],
        splits={
            split: Interactions.from_pairs(new_user[users], new_item[items], n_users, n_items, times)
            for split, (users, items, times) in pairs.items()
        },
        popularity=_read_popularity(popularity_path, len(item_ids))[has_item],
    )


def _occurring(parts: list[NDArray[np.int32]], size: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which indices below a size occur at all, and the number of each among those: (size,), (size,)."""
    occurs = np.zeros(size, dtype=bool)
    for part in parts:
        occurs[part] = True
    return occurs, np.cumsum(occurs) - 1


def _single(locate: Locate, channel: str, name: str) -> Path:
    path = locate(channel) / name
    if not path.is_file():
        raise DataError(f"channel {channel!r}: no file {name} in {path.parent}")
    return path


def _columns(path: Path, *names: str) -> list[NDArray]:
    """The named columns of a Parquet file, which may hold no null."""
    try:
        table = pq.read_table(path, columns=list(names))
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise DataError(f"{path.name}: cannot be read as Parquet: {error}") from error
    if missing := sorted(set(names) - set(table.column_names)):
        raise DataError(f"{path.name}: no column {missing[0]}")
    for name in names:
        if table.column(name).null_count:
            raise DataError(f"{path.name}: column {name} has {table.column(name).null_count} nulls")
    return [table.column(name).to_numpy() for name in names]


def _read_ids(path: Path, kind: str) -> NDArray[np.str_]:
    ids, index = _columns(path, f"{kind}_id", f"{kind}_index")
    if not len(ids):
        raise DataError(f"{path.name}: no {kind}s")
    if not np.array_equal(np.sort(index), np.arange(len(index))):
        raise DataError(f"{path.name}: {kind}_index is not 0 to {len(index) - 1}, each once")
    ordered = np.empty(len(ids), dtype=object)
    ordered[index] = ids
    return ordered.astype(np.str_)


def _read_split(
    split: str, paths: list[Path], n_users: int, n_items: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    parts = [_columns(path, "user_index", "item_index", "timestamp") for path in paths]
    if not sum(len(users) for users, _, _ in parts):
        raise DataError(f"split {split!r}: empty")
    users, items, times = (np.concatenate(column) for column in zip(*parts, strict=True))
    for name, index, size in (("user_index", users, n_users), ("item_index", items, n_items)):
        outside = (index < 0) | (index >= size)
        if outside.any():
            raise DataError(f"split {split!r}: {name} {index[outside][0]} is outside the map of {size}")
    return users, items, times


def _read_popularity(path: Path, n_items: int) -> NDArray[np.int64]:
    index, counts = _columns(path, "item_index", "n_interactions")
    if len(index) and (index.min() < 0 or index.max() >= n_items):
        raise DataError(f"{path.name}: item_index {index.max()} is outside the map of {n_items}")
    popularity = np.zeros(n_items, dtype=np.int64)
    popularity[index] = counts
    return popularity
