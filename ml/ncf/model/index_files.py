"""Files of the item index in the artifact, with checksums and the library's version in model.json.

faiss reads the files of the version that wrote them: the artifact contains that version in `code/`.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ml.contract import INDEX_FOLDER
from ml.ncf.model.item_index import ItemIndex
from ml.ncf.model.serving_data import ArtifactError

FORMAT = 2
SUPERSEDED_FORMATS = (1,)  # of artifacts before faiss: they are served without the index
ORDER_FILE = "order.npy"
LIBRARY = "faiss"
LIBRARY_FOLDERS = (LIBRARY, "faiss_cpu.libs")  # of the wheel: the package, and its shared libraries


def write(folder: Path, index: ItemIndex) -> dict[str, Any]:
    """Write the index below the artifact's folder; returns its description for model.json."""
    import faiss  # noqa: PLC0415 -- only large catalogues need the library

    target = folder / INDEX_FOLDER
    target.mkdir()
    np.save(target / ORDER_FILE, index.order, allow_pickle=False)
    for number, segment in enumerate(index.segments):
        faiss.write_index(segment, str(target / _segment_file(number)))
    return {
        "format": FORMAT,
        "library": {"name": LIBRARY, "version": faiss.__version__},
        "max_norms": list(index.max_norms),
        "sha256": {path.name: _sha256(path) for path in sorted(target.iterdir())},
    }


def copy_library(code: Path) -> None:
    """Copy the library from this process's environment to `code/`, from which the container imports it."""
    import faiss  # noqa: PLC0415

    for name in LIBRARY_FOLDERS:
        source = Path(faiss.__file__).parents[1] / name
        if source.is_dir():
            shutil.copytree(source, code / name, ignore=shutil.ignore_patterns("__pycache__"))


def remove(folder: Path, code: Path) -> None:
    """Remove index and library of an earlier artifact in the same folder."""
    for path in (folder / INDEX_FOLDER, *(code / name for name in LIBRARY_FOLDERS)):
        shutil.rmtree(path, ignore_errors=True)


def read(folder: Path, description: Mapping[str, Any], n_items: int) -> ItemIndex | None:
    """Read the index of an artifact; None if it has a format that is no longer used.

    Raises:
        ArtifactError: the index has an unknown format or was written by another version of the library, or a
            file is missing or damaged; the message names it.
    """
    target = folder / INDEX_FOLDER
    if description.get("format") in SUPERSEDED_FORMATS:
        return None
    if description.get("format") != FORMAT:
        raise ArtifactError(f"{target}: format {description.get('format')}; this code reads {FORMAT}")
    try:
        import faiss  # noqa: PLC0415
    except ImportError as error:
        raise ArtifactError(f"{target}: {LIBRARY} cannot be imported: {error}") from error
    path = target
    try:
        if (version := description["library"]["version"]) != faiss.__version__:
            raise ArtifactError(
                f"{target}: written by {LIBRARY} {version}, and {faiss.__version__} is installed"
            )
        for name, checksum in description["sha256"].items():
            path = target / name
            if _sha256(path) != checksum:
                raise ArtifactError(f"{path}: damaged: its SHA-256 is not that of model.json")
        path = target / ORDER_FILE
        order = np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
        max_norms = tuple(description["max_norms"])
        segments = []
        for number in range(len(max_norms)):
            path = target / _segment_file(number)
            segments.append(faiss.read_index(str(path)))
    except ArtifactError:
        raise
    # RuntimeError: of faiss
    except (OSError, KeyError, TypeError, ValueError, EOFError, RuntimeError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error!r}") from error
    index = ItemIndex(order, max_norms, tuple(segments))
    if not len(order) == sum(segment.ntotal for segment in segments) == n_items:
        raise ArtifactError(f"{target}: has {len(order)} items, the model {n_items}")
    return index


def _segment_file(number: int) -> str:
    return f"segment-{number}.faiss"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
