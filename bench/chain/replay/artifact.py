"""Recorded model artifact, in the place of `ml.ncf.model.artifact`: the same errors, without torch."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.contract import MODEL_FILE

RECORDED, FILES = "recorded", "recorded_files"  # in model.json: name of the model, SHA-256 of its files


class ArtifactError(ValueError):
    """The artifact cannot be used; the message names the file."""


@dataclass(frozen=True)
class Artifact:
    """A loaded artifact."""

    info: Mapping[str, Any]  # model.json


def read(folder: Path) -> Artifact:
    """Load an artifact from its unpacked folder.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    path = folder / MODEL_FILE
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not the {MODEL_FILE} of an artifact: {error!r}") from error
    for name, digest in info.get(FILES, {}).items():
        file = folder / name
        if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise ArtifactError(f"{file}: the model cannot be loaded: missing or damaged")
    return Artifact(info)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a model.tar.gz into an empty folder.

    Raises:
        ArtifactError: the archive is missing or damaged.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(folder, filter="data")
    except (OSError, tarfile.TarError, EOFError) as error:
        raise ArtifactError(f"{archive}: cannot be unpacked: {error}") from error
