"""Loaded artifact and look-ups by id."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.contract import canonical_id
from ml.ncf.model import artifact


@dataclass(frozen=True, eq=False)
class Recommender:
    """An artifact, with its users and items by their ids."""

    artifact: artifact.Artifact

    def user(self, user_id: str) -> int | None:
        """Index of a user; None if the model does not know the user."""
        data = self.artifact.data
        return None if data is None else data.user_ids.find(canonical_id(user_id))

    def item(self, item_id: str) -> int | None:
        """Index of an item by its canonical id; None if the model does not know it."""
        data = self.artifact.data
        return None if data is None else data.item_ids.find(item_id)

    def items(self, item_ids: Iterable[str]) -> NDArray[np.int64]:
        """Indices of the known items among canonical ids, ascending, each once."""
        data = self.artifact.data
        if data is None:
            return np.empty(0, dtype=np.int64)
        found = np.unique(data.item_ids.find_all(item_ids))
        return found[found >= 0]


def load(folder: Path) -> Recommender:
    """Load an unpacked artifact.

    Raises:
        ml.ncf.model.artifact.ArtifactError: it cannot be loaded.
    """
    return Recommender(artifact.read(folder))
