"""Files of the retrieval index in the artifact: one .npy file per array, with checksums in model.json."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ml.contract import INDEX_FOLDER
from ml.ncf.model.retrieval import FORMAT, NormIndex
from ml.ncf.model.serving_data import ArtifactError


def write(folder: Path, index: NormIndex) -> dict[str, Any]:
    """Write the index below the artifact's folder; returns its description for model.json."""
    target = folder / INDEX_FOLDER
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    sums = {}
    for name, array in index.arrays().items():
        path = target / f"{name}.npy"
        np.save(path, np.ascontiguousarray(array), allow_pickle=False)
        sums[path.name] = _sha256(path)
    return {"format": FORMAT, "sha256": sums}


def read(folder: Path, description: Mapping[str, Any], n_items: int) -> NormIndex:
    """Map the index of an artifact.

    Raises:
        ArtifactError: the index has another format, or a file is missing or damaged; the message names it.
    """
    target = folder / INDEX_FOLDER
    if description.get("format") != FORMAT:
        raise ArtifactError(f"{target}: format {description.get('format')}; this code reads {FORMAT}")
    arrays = {}
    for name in ("order", "position", "norms", "head"):
        path = target / f"{name}.npy"
        try:
            if _sha256(path) != description["sha256"][path.name]:
                raise ArtifactError(f"{path}: damaged: its SHA-256 is not that of model.json")
            # Copy-on-write: torch does not accept read-only memory. Nothing writes to it.
            arrays[name] = np.load(path, mmap_mode="c", allow_pickle=False).view(np.ndarray)
        except (OSError, KeyError, EOFError) as error:
            raise ArtifactError(f"{path}: cannot be read: {error!r}") from error
    if len(arrays["order"]) != n_items:
        raise ArtifactError(f"{target}: has {len(arrays['order'])} items, the model {n_items}")
    return NormIndex.from_arrays(arrays)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
