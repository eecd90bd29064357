"""Arrays of the artifact: ids, seen items and popularity, memory-mapped from one .npy file per array."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ml.contract import ARRAYS_FILE, ARRAYS_FOLDER
from ml.ncf.model.ids import IdMap

ID_MAPS = ("user_ids", "item_ids")
ID_ARRAYS = ("text", "offsets", "hashes", "order")


class ArtifactError(ValueError):
    """The artifact cannot be used; the message names the file and the reason."""


@dataclass(frozen=True, eq=False)
class ServingData:
    """Ids of the U users and I items, seen items in CSR format, popularity."""

    user_ids: IdMap  # of U ids
    item_ids: IdMap  # of I ids
    seen_indptr: NDArray[np.int64]  # (U + 1,)
    seen_indices: NDArray[np.int32]  # (P,)
    popularity: NDArray[np.int64]  # (I,), number of train interactions per item
    by_popularity: NDArray[np.int32]  # (I,), items by descending popularity, ties by index

    ARRAYS: ClassVar[tuple[str, ...]] = ("seen_indptr", "seen_indices", "popularity", "by_popularity")

    @classmethod
    def of(
        cls,
        user_ids: Iterable[str],
        item_ids: Iterable[str],
        seen_indptr: NDArray[np.int64],
        seen_indices: NDArray[np.int32],
        popularity: NDArray[np.int64],
    ) -> ServingData:
        """The arrays with the look-ups that are prepared at training time."""
        return cls(
            user_ids=IdMap.of(user_ids),
            item_ids=IdMap.of(item_ids),
            seen_indptr=seen_indptr,
            seen_indices=seen_indices,
            popularity=popularity,
            by_popularity=np.argsort(-popularity, kind="stable").astype(np.int32),
        )

    def seen(self, user: int) -> NDArray[np.int32]:
        """Items that a user has seen, ascending."""
        return self.seen_indices[self.seen_indptr[user] : self.seen_indptr[user + 1]]

    def check(self, n_users: int, n_items: int) -> None:
        """Raise ArtifactError unless the arrays have the sizes of the model."""
        sizes = {
            "user_ids": (len(self.user_ids), n_users),
            "item_ids": (len(self.item_ids), n_items),
            "seen_indptr": (len(self.seen_indptr), n_users + 1),
            "popularity": (len(self.popularity), n_items),
            "by_popularity": (len(self.by_popularity), n_items),
            "seen_indices": (len(self.seen_indices), int(self.seen_indptr[-1])),
        }
        for name, (size, wanted) in sizes.items():
            if size != wanted:
                raise ArtifactError(f"{ARRAYS_FOLDER}/{name} has {size} entries, the model needs {wanted}")

    def write(self, folder: Path) -> None:
        """Write the arrays below the artifact's folder; those of an earlier artifact are removed."""
        target = folder / ARRAYS_FOLDER
        shutil.rmtree(target, ignore_errors=True)
        (folder / ARRAYS_FILE).unlink(missing_ok=True)
        target.mkdir()
        arrays = {name: getattr(self, name) for name in self.ARRAYS}
        for name in ID_MAPS:
            arrays |= {f"{name}_{part}": array for part, array in getattr(self, name).arrays().items()}
        for name, array in arrays.items():
            np.save(target / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)

    @classmethod
    def read(cls, folder: Path) -> ServingData:
        """Map the arrays of an artifact.

        Raises:
            ArtifactError: a file is missing or damaged; the message names it.
        """
        if (folder / ARRAYS_FILE).is_file():
            return cls._read_archive(folder / ARRAYS_FILE)

        def mapped(name: str) -> NDArray:
            path = folder / ARRAYS_FOLDER / f"{name}.npy"
            try:
                # Copy-on-write: torch does not accept read-only memory. Nothing writes to it.
                return np.load(path, mmap_mode="c", allow_pickle=False).view(np.ndarray)
            except (OSError, ValueError, EOFError) as error:
                raise ArtifactError(f"{path}: cannot be read: {error}") from error

        return cls(
            user_ids=cls._id_map(folder, "user_ids", mapped),
            item_ids=cls._id_map(folder, "item_ids", mapped),
            seen_indptr=mapped("seen_indptr"),
            seen_indices=mapped("seen_indices"),
            popularity=mapped("popularity"),
            by_popularity=mapped("by_popularity"),
        )

    @staticmethod
    def _id_map(folder: Path, name: str, mapped: Callable[[str], NDArray]) -> IdMap:
        parts: Mapping[str, NDArray] = {part: mapped(f"{name}_{part}") for part in ID_ARRAYS}
        try:
            return IdMap.from_arrays(parts)
        except ValueError as error:
            raise ArtifactError(f"{folder / ARRAYS_FOLDER / name}: {error}") from error

    @classmethod
    def _read_archive(cls, path: Path) -> ServingData:
        """The arrays of an artifact written before the arrays were separate files."""
        names = ("user_ids", "item_ids", "seen_indptr", "seen_indices", "popularity")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls.of(**{name: arrays[name] for name in names})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ArtifactError(f"{path}: cannot be read: {error}") from error
