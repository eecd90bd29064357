"""Resources that all providers share: the emulator's address, folders, child processes, logs and clients."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import psutil

from emulator.environment import ACCOUNT_ID, make_client
from emulator.logs import Logs, file_name
from emulator.processes import Processes


class Host:
    """One emulator's resources on this machine.

    Attributes:
        default_region: region of requests without one.
        url: address of the server; empty until it listens.
        home: home directory of child processes.
    """

    def __init__(self, root: Path, default_region: str) -> None:
        self.account_id = ACCOUNT_ID
        self.default_region = default_region
        self.url = ""
        self.processes = Processes()
        self.logs = Logs(root / "logs")
        self._all_work = root / "work"
        self._work = self._all_work / str(os.getpid())
        self.home = self._work / "home"
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def open(self) -> None:
        """Create the working folder; delete those of emulator processes that were killed."""
        self._all_work.mkdir(parents=True, exist_ok=True)
        for folder in self._all_work.iterdir():
            if folder.name.isdigit() and not psutil.pid_exists(int(folder.name)):
                shutil.rmtree(folder, ignore_errors=True)
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)

    def begin_close(self) -> bool:
        """Set `closing` and end every child process; False if it was called before."""
        with self._lock:
            if self._closing.is_set():
                return False
            self._closing.set()
        self.processes.close()
        return True

    def close(self) -> None:
        """Delete the working folder."""
        shutil.rmtree(self._work, ignore_errors=True)

    @property
    def closing(self) -> bool:
        """Whether the emulator is closing; errors after that are a consequence of it."""
        return self._closing.is_set()

    def client(self, service: str, region: str | None = None) -> Any:
        """boto3 client of the emulator; clients are cached and thread-safe."""
        key = (service, region or self.default_region)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = make_client(service, self.url, key[1])
            return self._clients[key]

    def folder(self, kind: str, name: str) -> Path:
        """New folder for one job, build or function; deleted when the emulator closes."""
        parent = self._work / kind
        parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{file_name(name)}-", dir=parent))
