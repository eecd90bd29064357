"""File system of an execution environment: read-only, except /tmp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emulator.host import Host
from emulator.mounts import Mount, View
from emulator.processes import Child
from emulator.services.lambda_.package import FunctionFolders

TASK, LAYERS, RUNTIME = "/var/task", "/opt", "/var/runtime"  # Lambda developer guide
TEMPORARY = "/tmp"  # noqa: S108 - the function's folder


class FunctionSystem:
    """Folders of one execution environment, at Lambda's paths where views work.

    Attributes:
        task, runtime: LAMBDA_TASK_ROOT and LAMBDA_RUNTIME_DIR.
        import_path: folders of the function's modules, in order.
    """

    def __init__(self, host: Host, function_name: str, folders: FunctionFolders) -> None:
        self._host = host
        self._folders = folders
        self._temporary = host.folder("lambda-tmp", function_name)
        if host.has_views:
            self.task, layers, self.runtime = TASK, LAYERS, RUNTIME
        else:
            self.task, layers, self.runtime = map(str, (folders.code, folders.layers, folders.runtime))
        self.import_path = [self.task, f"{layers}/python", self.runtime]

    def start(self, argv: Sequence[str], env: Mapping[str, str], **options: Any) -> Child:
        """Start the runtime.

        Args:
            options: further arguments of `Processes.start`.
        """
        folders = self._folders
        if not self._host.has_views:
            private = {"TMPDIR": str(self._temporary)}
            return self._host.processes.start(argv, cwd=folders.code, env={**private, **env}, **options)
        mounts = (
            Mount(self._temporary, TEMPORARY, writable=True),
            Mount(folders.code, TASK),
            Mount(folders.layers, LAYERS),
            Mount(folders.runtime, RUNTIME),
        )
        command = self._host.in_view(View(mounts, cwd=TASK), argv)
        return self._host.processes.start(command, cwd=folders.code, env=dict(env), **options)
