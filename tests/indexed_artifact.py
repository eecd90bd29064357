"""Artifact whose catalogue is just large enough for an index, and damage to the index."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ml.ncf.model import artifact
from ml.ncf.model.item_index import MIN_ITEMS
from ml.ncf.model.ncf import NCF
from ml.ncf.model.towers import NCFConfig
from tests.repository import ROOT

DAMAGED = "index/segment-0.faiss: damaged"  # the message of an artifact after `damage`


def write_indexed(folder: Path, version: str = "1") -> None:
    """Write the artifact of a model with random weights."""
    model = NCF(NCFConfig(n_users=2, n_items=MIN_ITEMS, architecture="gmf", factor_num=4))
    data = artifact.ServingData.of(
        user_ids=np.array(["u0", "u1"]),
        item_ids=np.arange(MIN_ITEMS).astype(str),
        seen_indptr=np.zeros(3, dtype=np.int64),
        seen_indices=np.empty(0, dtype=np.int32),
        popularity=np.ones(MIN_ITEMS, dtype=np.int64),
    )
    artifact.write(folder, model, data, {"model_version": version}, ROOT)


def damage(model: Path) -> None:
    """Flip a bit of the index."""
    path = model / "index/segment-0.faiss"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
