"""Resources that all providers share: the emulator's address, folders, child processes, logs and clients."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from emulator.authorization.access import Access
from emulator.environment import ACCOUNT_ID, Credentials, make_client
from emulator.logs import Logs, file_name
from emulator.metrics import Metrics
from emulator.mounts import View, views_work
from emulator.processes import Processes
from emulator.role_sessions import RoleSessions

MAX_ROLE_SESSION_NAME = 64  # STS API reference, AssumeRole


class Host:
    """One emulator's resources on this machine.

    Attributes:
        default_region: region of requests without one.
        url: address of the server; empty until it listens.
        sessions: role sessions of containers and instances.
        has_views: whether child processes see private folders at the documented paths.
        access: decisions about the calls of roles.
        metrics: metrics of CloudWatch.
    """

    def __init__(self, root: Path, default_region: str, *, has_views: bool | None = None) -> None:
        self.account_id = ACCOUNT_ID
        self.default_region = default_region
        self.url = ""
        self.access = Access(ACCOUNT_ID)
        self.processes = Processes()
        self.logs = Logs(root / "logs")
        self.metrics = Metrics()
        self._all_work = root / "work"
        self._work = self._all_work / str(os.getpid())
        self._view_root = self._work / "view"
        self.sessions = RoleSessions(lambda session: self.role_credentials(session.role_arn, session.name))
        self.has_views = views_work() if has_views is None else has_views
        self._clients: dict[tuple[str, ...], Any] = {}
        self._credentials: dict[tuple[str, str], Credentials] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def open(self) -> None:
        """Create the working folder; delete those of emulator processes that were killed."""
        self._all_work.mkdir(parents=True, exist_ok=True)
        for folder in self._all_work.iterdir():
            if folder.name.isdigit() and not psutil.pid_exists(int(folder.name)):
                shutil.rmtree(folder, ignore_errors=True)
        self._view_root.mkdir(parents=True, exist_ok=True, mode=0o700)

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

    def role_credentials(self, role_arn: str, session: str) -> Credentials:
        """Temporary credentials of a role session; cached.

        The caller has checked that the role trusts the service.
        """
        name = re.sub(r"[^\w+=,.@-]", "-", session)[:MAX_ROLE_SESSION_NAME].ljust(2, "-")
        with self._lock:
            known = self._credentials.get((role_arn, name))
        if known is not None:
            return known
        assumed = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName=name)["Credentials"]
        made = Credentials(assumed["AccessKeyId"], assumed["SecretAccessKey"], assumed["SessionToken"])
        with self._lock:
            return self._credentials.setdefault((role_arn, name), made)

    def role_client(self, service: str, region: str, role_arn: str, session: str) -> Any:
        """boto3 client with a role's credentials: its requests are authorised. Clients are cached."""
        key = (service, region, role_arn, session)
        with self._lock:
            known = self._clients.get(key)
        if known is not None:
            return known
        made = make_client(service, self.url, region, self.role_credentials(role_arn, session))
        with self._lock:
            return self._clients.setdefault(key, made)

    def in_view(self, view: View, argv: Sequence[str]) -> list[str]:
        """Command that runs ``argv`` in a view of the file system."""
        return view.command(argv, self._view_root)

    def folder(self, kind: str, name: str) -> Path:
        """New folder for one job, build or function; deleted when the emulator closes."""
        parent = self._work / kind
        parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{file_name(name)}-", dir=parent))
