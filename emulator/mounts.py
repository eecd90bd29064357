"""Views of the file system for child processes: private folders at the paths that a service documents.

A view needs a mount namespace, which Linux gives to root and, unless an administrator has turned that off, to
every user. Without one, providers replace the documented paths by private ones (see `Host.has_views`).
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator import enter

PROBE_TIMEOUT_S = 10


@dataclass(frozen=True)
class Mount:
    """A folder or file of this machine at another path of the view."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class View:
    """File system of a child process: this machine's, read-only, with mounts over it.

    Attributes:
        mounts: in order; a later mount may lie inside an earlier one.
        cwd: working directory, a path of the view.
        memory: existing folders of the view that are empty, writable file systems in memory.
    """

    mounts: tuple[Mount, ...]
    cwd: str
    memory: tuple[str, ...] = ()

    def command(self, argv: Sequence[str], root: Path) -> list[str]:
        """Command that runs ``argv`` in the view.

        Args:
            root: an empty folder, the mount point of the view's root.
        """
        spec = {
            "root": str(root),
            "binds": [[str(mount.source), mount.target, mount.writable] for mount in self.mounts],
            "kept": _interpreter_paths(),
            "memory": list(self.memory),
            "cwd": self.cwd,
        }
        return [sys.executable, "-I", "-S", enter.__file__, json.dumps(spec), *argv]


@functools.cache
def views_work() -> bool:
    """Whether this machine lets this user create views."""
    with tempfile.TemporaryDirectory() as folder:
        private = Path(folder) / "private"
        private.mkdir()
        view = View((Mount(private, "/opt/ml/probe", writable=True),), "/opt/ml/probe")
        command = view.command(["/bin/sh", "-c", ": > written"], _mount_point(Path(folder)))
        try:
            ended = subprocess.run(command, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return ended.returncode == 0 and (private / "written").exists()


def _mount_point(folder: Path) -> Path:
    path = folder / "root"
    path.mkdir()
    return path


def _interpreter_paths() -> list[str]:
    """Folders of this interpreter, its packages and this package: they stay visible under every mount."""
    paths = (sys.prefix, sys.base_prefix, str(Path(__file__).parent))
    return list(dict.fromkeys(paths))
