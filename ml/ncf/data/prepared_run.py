"""A prepared run in memory: interactions per split, id maps and popularity.

`read_run` verifies files, ids and indices against the manifest and each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml import manifest as manifests
from ml.contract import ITEMS_FILE, MANIFEST_FILE, POPULARITY_FILE, RANDOM_SPLIT, SPLITS, USERS_FILE
from ml.ncf.data.interactions import DataError, Interactions

LocateChannel = Callable[[str], Path]  # name of a channel to its folder


@dataclass(frozen=True, eq=False)
class PreparedRun:
    """Prepared run: U users and I items that occur in a split, with consecutive indices.

    The id maps of the run also hold ids of earlier runs that have no events in this one. They are left out:
    serving treats such a user as unknown and does not recommend such an item.
    """

    run_id: str
    user_ids: NDArray[np.object_]  # (U,) of str, in the order of the id map of the run
    item_ids: NDArray[np.object_]  # (I,) of str
    splits: Mapping[str, Interactions]  # train, validation, test, or those of them that were read
    popularity: NDArray[np.int64]  # (I,), number of train interactions per item
    split_rule: str = ""  # as in the manifest

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        return len(self.item_ids)

    def seen(self) -> Interactions:
        """Items that each user has in any split that was read."""
        train, *rest = self.splits.values()
        return train.union(*rest)


def read_run(locate: LocateChannel, splits: Sequence[str] = SPLITS) -> PreparedRun:
    """Read and check a prepared run. The pairs of a run of events without times have no times.

    Args:
        locate: returns the folder of a channel of `ml.contract.TRAINING_CHANNELS`.
        splits: to read. Users and items of the other splits alone are not in the result.

    Raises:
        DataError: a channel or file is missing, an index is outside the id maps, or a split is empty.
        ml.manifest.ManifestError: the manifest is invalid, or a file differs from its description there.
    """
    manifest = manifests.load(_single(locate, "manifest", MANIFEST_FILE))
    users_path = _single(locate, "users", USERS_FILE)
    items_path = _single(locate, "items", ITEMS_FILE)
    popularity_path = _single(locate, "popularity", POPULARITY_FILE)
    files = {USERS_FILE: users_path, ITEMS_FILE: items_path, POPULARITY_FILE: popularity_path}
    for split in splits:
        folder = locate(split)
        files |= {name: folder / Path(name).name for name in manifest.split_files(split)}
    manifests.verify_files(manifest, files)

    user_ids = _read_ids(users_path, "user")
    item_ids = _read_ids(items_path, "item")
    pairs = {
        split: _read_split(
            split, [files[name] for name in manifest.split_files(split)], len(user_ids), len(item_ids)
        )
        for split in splits
    }
    has_user, new_user = _occurring([users for users, *_ in pairs.values()], len(user_ids))
    has_item, new_item = _occurring([items for _, items, *_ in pairs.values()], len(item_ids))
    n_users, n_items = int(has_user.sum()), int(has_item.sum())
    split_rule = str(manifest.split.get("rule", ""))
    has_times = split_rule != RANDOM_SPLIT  # without, all timestamps are equal
    return PreparedRun(
        run_id=manifest.run_id,
        split_rule=split_rule,
        user_ids=user_ids[has_user],
        item_ids=item_ids[has_item],
        splits={
            split: Interactions.from_pairs(
                new_user[users],
                new_item[items],
                n_users,
                n_items,
                times if has_times else None,
                weights=weights,
            )
            for split, (users, items, times, weights) in pairs.items()
        },
        popularity=_read_popularity(popularity_path, len(item_ids))[has_item],
    )


def _occurring(parts: list[NDArray[np.int32]], size: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether each index below `size` occurs, and its rank among those that do: (size,), (size,)."""
    occurs = np.zeros(size, dtype=bool)
    for part in parts:
        occurs[part] = True
    return occurs, np.cumsum(occurs) - 1


def _single(locate: LocateChannel, channel: str, name: str) -> Path:
    path = locate(channel) / name
    if not path.is_file():
        raise DataError(f"channel {channel!r}: no file {name} in {path.parent}")
    return path


def _columns(path: Path, *names: str) -> list[NDArray]:
    """Columns of a Parquet file; a null is an error."""
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


def _read_ids(path: Path, kind: str) -> NDArray[np.object_]:
    # Not NumPy's text, in which every id takes the space of the longest one.
    ids, index = _columns(path, f"{kind}_id", f"{kind}_index")
    if not len(ids):
        raise DataError(f"{path.name}: no {kind}s")
    if not np.array_equal(np.sort(index), np.arange(len(index))):
        raise DataError(f"{path.name}: {kind}_index is not 0 to {len(index) - 1}, each once")
    ordered = np.empty(len(ids), dtype=object)
    ordered[index] = ids
    return ordered


def _read_split(
    split: str, paths: list[Path], n_users: int, n_items: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], NDArray[np.float32]]:
    parts = [_columns(path, "user_index", "item_index", "timestamp", "weight") for path in paths]
    if not sum(len(users) for users, *_ in parts):
        raise DataError(f"split {split!r}: empty")
    users, items, times, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    for name, index, size in (("user_index", users, n_users), ("item_index", items, n_items)):
        outside = (index < 0) | (index >= size)
        if outside.any():
            raise DataError(f"split {split!r}: {name} {index[outside][0]} is outside the map of {size}")
    return users, items, times, weights.astype(np.float32)


def _read_popularity(path: Path, n_items: int) -> NDArray[np.int64]:
    index, counts = _columns(path, "item_index", "n_interactions")
    if len(index) and (index.min() < 0 or index.max() >= n_items):
        raise DataError(f"{path.name}: item_index {index.max()} is outside the map of {n_items}")
    popularity = np.zeros(n_items, dtype=np.int64)
    popularity[index] = counts
    return popularity
