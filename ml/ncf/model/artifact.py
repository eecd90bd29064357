"""Model artifact: everything that serving needs, in one folder.

    model.json    family, sizes, hyperparameters, run, code version, metrics; size and checksum of each file
    weights.pt    state dict, loaded with `weights_only=True`
    arrays/       ids, seen items and popularity, one .npy file per array; no pickles
    index/        index of the items for retrieval, in large catalogues
    session.pt    map of sessions to user vectors; optional
    code/         the serving code, which needs numpy and torch, and faiss if there is an index

Weights and arrays are memory-mapped: the processes of an instance share one copy. Artifacts of earlier
versions have no checksums, `arrays.npz` instead of `arrays/`, or an index of a format that is no longer used.
Writing is deterministic: the same content gives the same bytes. This module is part of `code/`, so it imports
numpy, torch, faiss, the standard library and `ml.ncf.model` only.
"""

from __future__ import annotations

import gzip
import io
import json
import pickle
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ml.contract import (
    ARRAYS_FOLDER,
    MODEL_CODE_FOLDER,
    MODEL_FILE,
    SCHEMA_VERSION,
    SESSION_FILE,
    WEIGHTS_FILE,
    serving_sources,
)
from ml.ncf.model import checksums, index_files, registry
from ml.ncf.model.base import RankingModel
from ml.ncf.model.finite import require_finite_weights
from ml.ncf.model.item_index import ItemIndex
from ml.ncf.model.serving_data import ArtifactError, ServingData
from ml.ncf.model.session import SessionMap

__all__ = ["Artifact", "ArtifactError", "ServingData", "read", "unpack", "write"]

# What torch.load raises for a damaged file, and what a file of other content leads to.
UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    RuntimeError,
    EOFError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)
READ_BYTES = 1 << 20  # read at once
N_THREADS = 2  # that read files while the weights are checked


@dataclass(frozen=True, eq=False)
class Artifact:
    """A loaded artifact; a bootstrap artifact has neither model nor data."""

    info: Mapping[str, Any]  # model.json
    model: RankingModel | None
    data: ServingData | None
    session: SessionMap | None = None
    retrieval: ItemIndex | None = None  # None: small catalogue, no vectors, or an earlier version

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
    data.write(folder)
    index_files.remove(folder, folder / MODEL_CODE_FOLDER)
    index = ItemIndex.build(model)
    described = None
    if index is not None:
        described = index_files.write(folder, index)
        index_files.copy_library(folder / MODEL_CODE_FOLDER)
    document = {
        "schema_version": SCHEMA_VERSION,
        "family": model.family,
        "model": model.config.as_dict(),
        "index": described,
        "checksums": checksums.describe(folder, _files(folder)),
        **info,
    }
    # Written last: a folder without model.json is not an artifact.
    text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False)
    (folder / MODEL_FILE).write_text(f"{text}\n", encoding="utf-8")


def read(folder: Path) -> Artifact:
    """Load an artifact from its unpacked folder.

    Raises:
        ArtifactError: a file is missing, damaged or unreadable, has another schema version or an unknown
            model family, its sizes differ from those of the other files, or a weight is not finite.
    """
    info = _read_info(folder / MODEL_FILE)
    if "model" not in info:
        return Artifact(info=info, model=None, data=None)
    described = info.get("checksums") or {}
    for name, expected in described.items():
        checksums.check_size(folder, name, expected)
    with ThreadPoolExecutor(N_THREADS) as pool:
        checks = [pool.submit(checksums.check_content, folder, *each) for each in described.items()]
        reading = pool.submit(_read_index, folder, info)  # while the weights are checked
        try:
            model = _read_model(folder, info)
        except ArtifactError:
            _wait(checks)  # that a file is damaged says more than what came of it
            raise
        _wait(checks)
        index = reading.result()
    data = ServingData.read(folder)
    data.check(model.config.n_users, model.config.n_items)
    return Artifact(
        info=info,
        model=model.eval(),
        data=data,
        session=_read_session(folder / SESSION_FILE),
        retrieval=index,
    )


def _files(folder: Path) -> list[str]:
    """Files with a checksum; those of the index have SHA-256 (index_files), and the code is none."""
    arrays = sorted(f"{ARRAYS_FOLDER}/{path.name}" for path in (folder / ARRAYS_FOLDER).iterdir())
    return [WEIGHTS_FILE, *([SESSION_FILE] if (folder / SESSION_FILE).exists() else []), *arrays]


def _wait(checks: Iterable[Future[None]]) -> None:
    for check in checks:
        check.result()


class _NoInitialisation(TorchFunctionMode):
    """Skip the functions of `torch.nn.init`.

    They change nothing on the meta device, and import torch._dynamo: 1.3 s and 30 MiB.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if getattr(func, "__module__", None) == torch.nn.init.__name__:
            return named["tensor"] if "tensor" in named else args[0]
        return func(*args, **named)


def _read_model(folder: Path, info: Mapping[str, Any]) -> RankingModel:
    try:
        # Without storage: the weights are not initialised, but mapped from the file.
        with torch.device("meta"), _NoInitialisation():
            model = registry.build(info.get("family", registry.DEFAULT_FAMILY), info["model"])
        model.load_state_dict(_mapped(folder / WEIGHTS_FILE), assign=True)
        require_finite_weights(model)
        # The check has read every page into the process; a new mapping has only those that requests read.
        model.load_state_dict(_mapped(folder / WEIGHTS_FILE), assign=True)
    except UNREADABLE as error:
        path = folder / WEIGHTS_FILE
        raise ArtifactError(f"{path}: the model cannot be loaded: {_reason(error)}") from error
    return model


def _read_index(folder: Path, info: Mapping[str, Any]) -> ItemIndex | None:
    return index_files.read(folder, info["index"], info["model"]["n_items"]) if info.get("index") else None


def _mapped(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _read_session(path: Path) -> SessionMap | None:
    if not path.exists():
        return None
    try:
        return SessionMap.read(path)
    except UNREADABLE as error:
        raise ArtifactError(f"{path}: the map of sessions cannot be loaded: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """One line; torch's own text about other content is a page that advises to load it unchecked."""
    is_other = isinstance(error, pickle.UnpicklingError)
    text = "damaged, or not a file of tensors" if is_other else str(error)
    return " ".join(text.split()) or type(error).__name__


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
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            tar.extractall(folder, filter="data")
            while stream.read(READ_BYTES):  # to the end, where gzip compares the checksum
                pass
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise ArtifactError(f"{archive}: cannot be unpacked: {error}") from error
