"""Model artifact: everything that serving needs, in one folder.

    model.json    family, sizes, hyperparameters, run, code version, metrics
    weights.pt    state dict, loaded with `weights_only=True`
    arrays.npz    user_ids, item_ids, seen_indptr, seen_indices, popularity; no pickles
    session.pt    map of sessions to user vectors; optional
    code/         the serving code, which needs numpy and torch only

Writing is deterministic: the same content gives the same bytes. This module is part of `code/`, so it imports
numpy, torch, the standard library and `ml.ncf.model` only.
"""

from __future__ import annotations

import io
import json
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.contract import (
    ARRAYS_FILE,
    MODEL_CODE_FOLDER,
    MODEL_FILE,
    SCHEMA_VERSION,
    SESSION_FILE,
    WEIGHTS_FILE,
    serving_sources,
)
from ml.ncf.model import registry
from ml.ncf.model.base import RankingModel
from ml.ncf.model.finite import require_finite_weights
from ml.ncf.model.session import SessionMap

ARRAYS = ("user_ids", "item_ids", "seen_indptr", "seen_indices", "popularity")
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip entry can store


class ArtifactError(ValueError):
    """The artifact cannot be used; the message names the file and the reason."""


@dataclass(frozen=True, eq=False)
class ServingData:
    """Arrays of the artifact: ids of the U users and I items, seen items in CSR format, popularity."""

    user_ids: NDArray[np.str_]  # (U,)
    item_ids: NDArray[np.str_]  # (I,)
    seen_indptr: NDArray[np.int64]  # (U + 1,)
    seen_indices: NDArray[np.int32]  # (P,)
    popularity: NDArray[np.int64]  # (I,), number of train interactions per item

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
            "seen_indices": (len(self.seen_indices), int(self.seen_indptr[-1])),
        }
        for name, (size, wanted) in sizes.items():
            if size != wanted:
                raise ArtifactError(f"{ARRAYS_FILE}: {name} has {size} entries, the model needs {wanted}")


@dataclass(frozen=True, eq=False)
class Artifact:
    """A loaded artifact; a bootstrap artifact has neither model nor data."""

    info: Mapping[str, Any]  # model.json
    model: RankingModel | None
    data: ServingData | None
    session: SessionMap | None = None

    @property
    def version(self) -> str:
        return str(self.info["model_version"])


def write(
    folder: Path,
    model: RankingModel,
    data: ServingData,
    info: Mapping[str, Any],
    source_root: Path,
    *,
    session: SessionMap | None = None,
) -> None:
    """Write the files of an artifact to a folder, which SageMaker packs as model.tar.gz.

    Args:
        folder: created if absent; files of an earlier artifact are replaced.
        model: the trained model.
        data: ids, seen items and popularity.
        info: further fields of model.json (run_id, model_version, hyperparameters, metrics, ...). An unknown
            number is None, since JSON has no NaN.
        source_root: the root of the source tree, from which the serving code is copied.
        session: map of sessions to user vectors; None: the family needs none.

    Raises:
        ArtifactError: the sizes of data and model differ.
        ml.ncf.model.finite.NotFiniteError: a weight is not finite; nothing is written.
        ValueError: a number in `info` is not finite.
    """
    data.check(model.config.n_users, model.config.n_items)
    require_finite_weights(model)
    folder.mkdir(parents=True, exist_ok=True)
    for inside, source in serving_sources(source_root).items():
        target = folder / MODEL_CODE_FOLDER / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source_root / source, target)
    # Through a buffer: torch.save writes the file's name into the file, and a buffer has none.
    buffer = io.BytesIO()
    torch.save({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, buffer)
    (folder / WEIGHTS_FILE).write_bytes(buffer.getvalue())
    (folder / SESSION_FILE).unlink(missing_ok=True)
    if session is not None:
        session.write(folder / SESSION_FILE)
    _write_arrays(folder / ARRAYS_FILE, data)
    document = {
        "schema_version": SCHEMA_VERSION,
        "family": model.family,
        "model": model.config.as_dict(),
        **info,
    }
    # Written last: a folder without model.json is not an artifact.
    text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False)
    (folder / MODEL_FILE).write_text(f"{text}\n", encoding="utf-8")


def _write_arrays(path: Path, data: ServingData) -> None:
    """As numpy.savez_compressed, but with fixed times, so that equal arrays give equal bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ARRAYS:
            entry = zipfile.ZipInfo(f"{name}.npy", _ZIP_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(getattr(data, name)), allow_pickle=False)


def read(folder: Path) -> Artifact:
    """Load an artifact from its unpacked folder.

    Raises:
        ArtifactError: a file is missing or unreadable, has another schema version or an unknown model family,
            its sizes differ from those of the other files, or a weight is not finite.
    """
    info = _read_info(folder / MODEL_FILE)
    if "model" not in info:
        return Artifact(info=info, model=None, data=None)
    try:
        model = registry.build(info.get("family", registry.DEFAULT_FAMILY), info["model"])
        weights = torch.load(folder / WEIGHTS_FILE, map_location="cpu", weights_only=True)
        model.load_state_dict(weights)
        require_finite_weights(model)
        with np.load(folder / ARRAYS_FILE, allow_pickle=False) as arrays:
            data = ServingData(**{name: arrays[name] for name in ARRAYS})
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{folder}: the model cannot be loaded: {error}") from error
    data.check(model.config.n_users, model.config.n_items)
    return Artifact(info=info, model=model.eval(), data=data, session=_read_session(folder / SESSION_FILE))


def _read_session(path: Path) -> SessionMap | None:
    if not path.exists():
        return None
    try:
        return SessionMap.read(path)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, pickle.UnpicklingError) as error:
        raise ArtifactError(f"{path}: the map of sessions cannot be loaded: {error}") from error


def _read_info(path: Path) -> dict[str, Any]:
    """Read and check model.json; NaN, which earlier versions wrote for an unknown loss, is read as None."""
    try:
        info = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
        version, _ = info["schema_version"], info["model_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: not the {MODEL_FILE} of an artifact: {error!r}") from error
    if version != SCHEMA_VERSION:
        raise ArtifactError(f"{path}: schema_version is {version}; this code reads {SCHEMA_VERSION}")
    return info


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a model.tar.gz into an empty folder; entries with a path outside it are refused.

    Raises:
        ArtifactError: the archive is missing or damaged, or has such an entry.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(folder, filter="data")
    except (OSError, tarfile.TarError, EOFError) as error:
        raise ArtifactError(f"{archive}: cannot be unpacked: {error}") from error
