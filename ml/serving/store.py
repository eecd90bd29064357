"""Loaded artifact and the indices of its ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ml.contract import canonical_id
from ml.ncf.model import artifact


@dataclass(frozen=True, eq=False)
class Recommender:
    """An artifact and the indices of its ids."""

    artifact: artifact.Artifact
    user_index: Mapping[str, int] = field(default_factory=dict)
    item_index: Mapping[str, int] = field(default_factory=dict)

    def user(self, user_id: str) -> int | None:
        """Index of a user; None if the model does not know the user."""
        return self.user_index.get(canonical_id(user_id))


def load(folder: Path) -> Recommender:
    """Load an unpacked artifact.

    Raises:
        ml.ncf.model.artifact.ArtifactError: it cannot be loaded.
    """
    loaded = artifact.read(folder)
    if loaded.data is None:
        return Recommender(loaded)
    return Recommender(
        artifact=loaded,
        user_index={user_id: index for index, user_id in enumerate(loaded.data.user_ids.tolist())},
        item_index={item_id: index for index, item_id in enumerate(loaded.data.item_ids.tolist())},
    )
