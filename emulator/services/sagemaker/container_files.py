"""Files of a SageMaker container: a private folder that the container sees as ``/opt/ml``.

Where the system has views (`emulator.mounts`), the folder is mounted at ``/opt/ml`` and paths do not change.
Elsewhere ``/opt/ml`` is *re-rooted* (replaced by the private path) in everything that SageMaker passes to the
job: arguments, environment values, hyperparameters, and the text files of the inputs in which the SageMaker
SDK sends its own driver scripts. The user's source is not changed, so that literal paths in it fail there.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from emulator.host import Host
from emulator.mounts import Mount, View
from emulator.processes import Child

OPT_ML = "/opt/ml"
HOME = "/root"
# Not inside a longer path, so that re-rooting twice changes nothing; file:///opt/ml is a path too.
_OPT_ML = re.compile(r"(?:(?<![\w./-])|(?<=file://))/opt/ml(?![\w-])")
_SHELL_SAFE = re.compile(r"[A-Za-z0-9_./-]+")


class ContainerPathError(ValueError):
    """A container path outside ``/opt/ml``."""


class ContainerFiles:
    """Files of one container below ``/opt/ml``.

    Args:
        mounted: whether the container sees the folder as /opt/ml; re-rooting changes nothing then.
    """

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self._folder = folder
        self._mounted = mounted
        self._link: Path | None = None
        self.root = self._without_special_characters(folder)
        self.opt_ml = self.path(OPT_ML)
        self.opt_ml.mkdir(parents=True)

    def start(self, host: Host, argv: Sequence[str], env: Mapping[str, str], **options: Any) -> Child:
        """Start a process of the container; its working directory is /opt/ml.

        Args:
            options: further arguments of `Processes.start`.

        Raises:
            OSError: the command cannot be started; in a view the process ends with `EXIT_CANNOT_RUN` instead.
        """
        home, temporary = self.root / "root", self.root / "tmp"
        for folder in (home, temporary):
            folder.mkdir(exist_ok=True)
        if not self._mounted:
            private = {"HOME": str(home), "TMPDIR": str(temporary)}
            return host.processes.start(argv, cwd=self.opt_ml, env={**private, **env}, **options)
        mounts = (
            Mount(temporary, "/tmp", writable=True),  # noqa: S108 - a path of the container
            Mount(home, HOME, writable=True),
            Mount(self.opt_ml, OPT_ML, writable=True),
        )
        view = View(mounts, cwd=OPT_ML, memory=("/dev/shm",))  # noqa: S108 - a path of the container
        command = host.in_view(view, argv)
        return host.processes.start(command, cwd=self.root, env={"HOME": HOME, **env}, **options)

    def seen_path(self, container_path: str) -> str:
        """A path of the container as its processes see it."""
        return container_path if self._mounted else str(self.path(container_path))

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
        """Replace each ``/opt/ml`` in a text by the private folder, unless that is mounted there."""
        if self._mounted:
            return text
        return _OPT_ML.sub(lambda _: str(self.opt_ml), text)

    def reroot_all(self, values: Mapping[str, str]) -> dict[str, str]:
        """Replace ``/opt/ml`` in every value of a mapping."""
        return {name: self.reroot(value) for name, value in values.items()}

    def reroot_files(self, container_path: str) -> None:
        """Replace ``/opt/ml`` in every UTF-8 file below a path of the container, see `reroot`."""
        if self._mounted:
            return
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
