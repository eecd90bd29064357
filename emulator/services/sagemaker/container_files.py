"""A private ``/opt/ml``: the folder that a SageMaker container has at that path.

Without Docker a job cannot have the path itself. Its folder is ``<private>/opt/ml``, and ``/opt/ml`` is
*re-rooted* (replaced by the private path) in everything that SageMaker passes to the job: arguments,
environment values, hyperparameters, and the text files of the inputs in which the SageMaker SDK sends its own
driver scripts (they contain absolute paths). The user's source is not changed: it takes its folders from
arguments and ``SM_*`` variables, as it should on SageMaker.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

OPT_ML = "/opt/ml"
# Not inside a longer path, so that re-rooting twice changes nothing; file:///opt/ml is a path too.
_OPT_ML = re.compile(r"(?:(?<![\w./-])|(?<=file://))/opt/ml(?![\w-])")
_SHELL_SAFE = re.compile(r"[A-Za-z0-9_./-]+")


class ContainerPathError(ValueError):
    """A container path outside ``/opt/ml``."""


class ContainerFiles:
    """Files of one container below ``/opt/ml``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._link: Path | None = None
        self.root = self._without_special_characters(folder)
        self.opt_ml = self.path(OPT_ML)
        self.opt_ml.mkdir(parents=True)

    def path(self, container_path: str) -> Path:
        """Local path of a path in the container.

        Raises:
            ContainerPathError: it is not below /opt/ml.
        """
        parts = PurePosixPath(container_path).parts
        if parts[:3] != ("/", "opt", "ml") or ".." in parts:
            raise ContainerPathError(f"{container_path!r}: a local path must be below {OPT_ML}")
        return self.root.joinpath(*parts[1:])

    def folder(self, container_path: str) -> Path:
        """Local folder of a path in the container; created if it is missing."""
        path = self.path(container_path)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def reroot(self, text: str) -> str:
        """Replace each ``/opt/ml`` in a text by the private folder."""
        return _OPT_ML.sub(lambda _: str(self.opt_ml), text)

    def reroot_all(self, values: Mapping[str, str]) -> dict[str, str]:
        """Replace ``/opt/ml`` in every value of a mapping."""
        return {name: self.reroot(value) for name, value in values.items()}

    def reroot_files(self, container_path: str) -> None:
        """Replace ``/opt/ml`` in every UTF-8 file below a path of the container."""
        for path in self.path(container_path).rglob("*"):
            if not path.is_file():
                continue
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
            path.write_text(self.reroot(text), encoding="utf-8")

    def write_json(self, container_path: str, value: Any) -> None:
        """Write a JSON file at a path of the container."""
        path = self.path(container_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")

    def read_text(self, container_path: str, limit: int) -> str:
        """First ``limit`` characters of a text file, stripped; empty without a file."""
        try:
            with self.path(container_path).open(encoding="utf-8", errors="replace") as file:
                return file.read(limit).strip()
        except OSError:
            return ""

    def close(self) -> None:
        """Delete the folder; results are in S3 and in the logs by then."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.parent.rmdir()
            self._link = None

    def _without_special_characters(self, folder: Path) -> Path:
        """The folder, or a symbolic link to it: the SDK's driver scripts do not quote paths."""
        if _SHELL_SAFE.fullmatch(str(folder)):
            return folder
        self._link = Path(tempfile.mkdtemp(prefix="emulator-")) / "container"
        self._link.symlink_to(folder, target_is_directory=True)
        return self._link
