"""A private ``/opt/ml``: the folder that a SageMaker container finds at that path.

There is no Docker here, so the path itself can't be given to a job. Its folder is ``<private>/opt/ml``, and
``/opt/ml`` is *re-rooted*, that is replaced by the private path, in whatever the platform hands to the job:
arguments, environment values, hyperparameters, and the text files of the inputs in which the SageMaker SDK
brings its own driver scripts (they hold absolute paths). The user's own source is never touched: it finds its
folders by arguments and ``SM_*`` variables, as it should on SageMaker too.
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
# Not inside a longer path, so that what is re-rooted once stays as it is; file:///opt/ml is a path too.
_OPT_ML = re.compile(r"(?:(?<![\w./-])|(?<=file://))/opt/ml(?![\w-])")
_SHELL_SAFE = re.compile(r"[A-Za-z0-9_./-]+")


class ContainerPathError(ValueError):
    """A path that no container of the emulator can have."""


class ContainerTree:
    """One container's ``/opt/ml``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._link: Path | None = None
        self.root = self._shell_safe(folder)
        self.opt_ml = self.path(OPT_ML)
        self.opt_ml.mkdir(parents=True)

    def path(self, container_path: str) -> Path:
        """Where a path of the container lies here.

        Raises:
            ContainerPathError: it is not below /opt/ml.
        """
        parts = PurePosixPath(container_path).parts
        if parts[:3] != ("/", "opt", "ml") or ".." in parts:
            raise ContainerPathError(f"{container_path!r}: a local path must be below {OPT_ML}")
        return self.root.joinpath(*parts[1:])

    def folder(self, container_path: str) -> Path:
        """The folder at a path of the container, made if it is missing."""
        path = self.path(container_path)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def reroot(self, text: str) -> str:
        """The text with each ``/opt/ml`` replaced by the private folder."""
        return _OPT_ML.sub(lambda _: str(self.opt_ml), text)

    def reroot_all(self, values: Mapping[str, str]) -> dict[str, str]:
        """The same for a mapping's values."""
        return {name: self.reroot(value) for name, value in values.items()}

    def reroot_files(self, container_path: str) -> None:
        """The same for every text file below a path of the container."""
        for path in self.path(container_path).rglob("*"):
            if not path.is_file():
                continue
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
            path.write_text(self.reroot(text), encoding="utf-8")

    def write_json(self, container_path: str, value: Any) -> None:
        """A JSON file at a path of the container."""
        path = self.path(container_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")

    def read_text(self, container_path: str, limit: int) -> str:
        """The beginning of a text file, stripped; empty when there is none."""
        try:
            with self.path(container_path).open(encoding="utf-8", errors="replace") as file:
                return file.read(limit).strip()
        except OSError:
            return ""

    def close(self) -> None:
        """Removes the folder: what matters of it is in S3 and in the logs by now."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.parent.rmdir()
            self._link = None

    def _shell_safe(self, folder: Path) -> Path:
        """A name of the folder without characters at which the drivers' unquoted shell lines would split."""
        if _SHELL_SAFE.fullmatch(str(folder)):
            return folder
        self._link = Path(tempfile.mkdtemp(prefix="emulator-")) / "container"
        self._link.symlink_to(folder, target_is_directory=True)
        return self._link
