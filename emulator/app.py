"""The emulator itself: one server, its providers, its children, its logs."""

from __future__ import annotations

import functools
import logging
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil
from moto.backends import get_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
from werkzeug.test import run_wsgi_app

from emulator import http, moto_state
from emulator.environment import ACCOUNT_ID, child_environment, make_client
from emulator.logs import LogListener, Logs, file_name
from emulator.moto_patches import MotoPatches
from emulator.processes import Processes
from emulator.provider import Provider
from emulator.providers import all_providers
from emulator.services.events.provider import EventsProvider
from emulator.wire import Operation, Request, Response, Route, render

HOST = "127.0.0.1"
SHUTDOWN_POLL_S = 0.05
P = TypeVar("P", bound=Provider)
_running = threading.Lock()  # moto's state belongs to the process


class Emulator:
    """moto's server with providers in front of it, on 127.0.0.1; one a process, as moto's state is global.

    >>> with Emulator(root=Path(".local")).start() as emulator:
    ...     emulator.client("s3").create_bucket(...)
    """

    def __init__(
        self,
        *,
        region: str = "ap-northeast-2",
        root: Path = Path(".local"),
        providers: Sequence[type[Provider]] | None = None,
    ) -> None:
        self.region = region
        self.account_id = ACCOUNT_ID
        self.root = root.resolve()
        self._work = self.root / "work" / str(os.getpid())
        self._home = self._work / "home"
        self._logs = Logs(self.root / "logs", lambda region: self.backend("logs", region))
        self.url = ""
        self.wanted_port = 0
        self.processes = Processes()
        self._patches = MotoPatches()
        self._provider_types = all_providers() if providers is None else providers
        self._providers: list[Provider] = []
        self._operations: dict[str, Operation] = {}
        self._routes: list[tuple[Route, re.Pattern[str]]] = []
        self._moto = DomainDispatcherApplication(create_backend_app)
        # moto lists its package's folders at each request: a third of what a request costs.
        self._moto.get_backend_for_host = functools.cache(self._moto.get_backend_for_host)
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._server: Any = None

    # -- life -----------------------------------------------------------------------------------
    def start(self, port: int = 0) -> Emulator:
        """Listens on ``port``; when it is 0 or taken, on another one: `url` and `moved` tell.

        Raises:
            OSError: no port can be bound, or the working folder can't be made.
            RuntimeError: this process runs an emulator already.
        """
        if not _running.acquire(blocking=False):
            raise RuntimeError("this process runs an emulator already: close that one first")
        try:
            self._start(port)
        except BaseException:
            self.close()
            raise
        return self

    def _start(self, port: int) -> None:
        moto_state.reset()
        moto_state.patch(self._patches)
        self._make_folders()
        self._logs.open(cloud=logging.getLogger("emulator"), requests=http.log)
        self.wanted_port = port
        listener = http.listen(HOST, port)
        self._server = make_server(
            HOST, 0, self._answer, threaded=True, request_handler=http.KeepAliveHandler, fd=listener.fileno()
        )
        listener.close()  # the server holds a duplicate
        self.url = f"http://{HOST}:{self._server.socket.getsockname()[1]}"
        for kind in self._provider_types:
            provider = kind(self)
            self._providers.append(provider)
            self._operations.update(provider.operations())
            self._routes += [(route, re.compile(route.pattern)) for route in provider.routes()]
        threading.Thread(
            target=self._server.serve_forever, args=(SHUTDOWN_POLL_S,), name="emulator", daemon=True
        ).start()

    def close(self) -> None:
        """Ends every child, the providers and the server; forgets every resource."""
        if self._closing.is_set():
            return
        self._closing.set()
        self.processes.close()
        for provider in self._providers:
            provider.close()
        self._providers = []
        if self._server is not None:
            self._server.shutdown()
        self._logs.close()
        shutil.rmtree(self._work, ignore_errors=True)
        self._patches.undo()
        moto_state.reset()
        _running.release()

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def closing(self) -> bool:
        """Whether `close` has begun: what fails from then on fails because of it."""
        return self._closing.is_set()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.url.rpartition(":")[2])

    @property
    def moved(self) -> bool:
        """Whether the wanted port was taken by another program."""
        return self.wanted_port not in (0, self.port)

    # -- what providers and the deployment use -----------------------------------------------------
    def provider(self, kind: type[P]) -> P:
        """The provider of a type.

        Raises:
            LookupError: this emulator runs without it.
        """
        for provider in self._providers:
            if isinstance(provider, kind):
                return provider
        raise LookupError(f"the emulator runs without {kind.__name__}")

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client of this emulator; clients are shared and thread-safe."""
        key = (service, region or self.region)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = make_client(service, self.url, key[1])
            return self._clients[key]

    def backend(self, service: str, region: str | None = None) -> Any:
        """moto's model of a service (``moto.backends`` names: lambda, codebuild, s3, …) in a region."""
        regional = get_backend(service)[self.account_id]
        for name in (region or self.region, "aws", "global"):
            if name in regional:
                return regional[name]
        raise LookupError(f"moto has no {service} in {region or self.region}")

    def forward(self, request: Request) -> Response:
        """moto's own answer to a request."""
        request.environ["wsgi.input"].seek(0)
        for provider in self._providers:
            provider.before_moto()
        try:
            chunks, status, headers = run_wsgi_app(self._moto, request.environ, buffered=True)
        finally:
            for provider in self._providers:
                provider.after_moto()
        return Response(int(status.split()[0]), b"".join(chunks), list(headers.items()))

    def child_env(self, region: str | None = None, **extra: str) -> dict[str, str]:
        """A clean environment for application code: PATH, this endpoint, fake credentials, and ``extra``."""
        own = child_environment(self.url, region or self.region, self._home)
        return {**own, "TMPDIR": str(self._home), **extra}

    def role_env(self, role_arn: str, session: str, region: str | None = None) -> dict[str, str]:
        """Region, endpoint and temporary credentials of a role, as a service hands them to what it runs."""
        name = re.sub(r"[^\w+=,.@-]", "-", session)[:64].ljust(2, "-")  # 2 to 64
        assumed = self.client("sts", region).assume_role(RoleArn=role_arn, RoleSessionName=name)
        credentials = assumed["Credentials"]
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": region or self.region,
            "AWS_DEFAULT_REGION": region or self.region,
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def folder(self, kind: str, name: str) -> Path:
        """A fresh folder for one piece of work; it goes when the emulator closes."""
        parent = self._work / kind
        parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{file_name(name)}-", dir=parent))

    def log(self, group: str, stream: str, line: str, region: str | None = None) -> None:
        """One event in CloudWatch Logs, the same line in a file, and to whoever listens."""
        self._logs.put(group, stream, line, region)

    def tail(self, group: str, stream: str, line: str) -> None:
        """The line in a file, and to whoever listens: for what has no log group, such as EMR's steps."""
        self._logs.tail(group, stream, line)

    def log_file(self, group: str, stream: str) -> Path:
        """Where a log stream lies as a file."""
        return self._logs.path(group, stream)

    def listen(self, listener: LogListener) -> None:
        """Calls ``listener(group, stream, line)`` for every log line from now on, on the thread that logs."""
        self._logs.listen(listener)

    def emit(
        self,
        source: str,
        detail_type: str,
        detail: dict[str, Any],
        resources: Iterable[str] = (),
        region: str | None = None,
    ) -> None:
        """An event of an AWS service on the default bus."""
        bus = self.provider(EventsProvider)
        bus.emit(source, detail_type, detail, list(resources), region or self.region)

    # -- requests -------------------------------------------------------------------------------
    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not http.is_of_this_machine(environ):
            refused = Response(403, {"message": "the emulator answers this machine only"})
            return http.send(refused, start_response)
        request = http.read_request(environ, self.region)
        return http.send(http.answer(request, self._dispatch), start_response)

    def _dispatch(self, request: Request) -> Response:
        if handler := self._operations.get(request.target):
            return render(handler(request))
        for route, pattern in self._routes:
            if route.method in ("*", request.method) and route.service in (None, request.service):
                match = pattern.fullmatch(request.raw_path)
                if match:
                    return route.handler(request, match)
        return self.forward(request)

    # -- folders --------------------------------------------------------------------------------
    def _make_folders(self) -> None:
        work = self.root / "work"
        work.mkdir(parents=True, exist_ok=True)
        for old in work.iterdir():  # of processes that had no time to clear up
            if old.name.isdigit() and not psutil.pid_exists(int(old.name)):
                shutil.rmtree(old, ignore_errors=True)
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
