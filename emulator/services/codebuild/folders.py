"""Folders of a build: source, temporary files and home directory, at CodeBuild's paths where views work."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emulator.host import Host
from emulator.mounts import Mount, View
from emulator.processes import Child

OUTPUT = "/codebuild/output"  # the source is in src<digits>/src below it
HOME = "/root"  # CodeBuild user guide, "Environment variables in build environments"


class BuildFolders:
    """Private folders of one build.

    Attributes:
        source: CODEBUILD_SRC_DIR.
        agent: files of the build agent.
    """

    def __init__(self, host: Host, project: str) -> None:
        self._host = host
        self._folder = host.folder("codebuild", project)
        self._output = self._folder / "output"
        self.source = self._output / f"src{secrets.randbelow(10**9):09d}" / "src"
        self.agent = self._output / "tmp"
        self._home, self._temporary = self._folder / "root", self._folder / "tmp"
        for folder in (self.source, self.agent, self._home, self._temporary):
            folder.mkdir(parents=True)

    def seen(self, path: Path) -> str:
        """A path below the output folder as the build's commands see it."""
        return f"{OUTPUT}/{path.relative_to(self._output)}" if self._host.has_views else str(path)

    def start(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], **options: Any) -> Child:
        """Start a process of the build.

        Args:
            options: further arguments of `Processes.start`.
        """
        if not self._host.has_views:
            private = {"HOME": str(self._home), "TMPDIR": str(self._temporary)}
            return self._host.processes.start(argv, cwd=cwd, env={**env, **private}, **options)
        mounts = (
            Mount(self._temporary, "/tmp", writable=True),  # noqa: S108 - a path of the build
            Mount(self._home, HOME, writable=True),
            Mount(self._output, OUTPUT, writable=True),
        )
        view = View(mounts, cwd=self.seen(cwd), memory=("/dev/shm",))  # noqa: S108 - a path of the build
        command = self._host.in_view(view, argv)
        return self._host.processes.start(command, cwd=self._folder, env={**env, "HOME": HOME}, **options)
