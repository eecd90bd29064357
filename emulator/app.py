"""The emulator: composes the server, the providers and moto; starts and closes them."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server

from emulator import http, moto_state
from emulator.answers import without_absent_members
from emulator.host import Host
from emulator.logs import LogListener
from emulator.moto_patches import MotoPatches
from emulator.operations import identify, not_implemented
from emulator.provider import EmitEvent, Forward, FunctionResult, InvokeFunction, Provider
from emulator.services.apigateway.provider import ApiGatewayProvider
from emulator.services.autoscaling.provider import AutoScalingProvider
from emulator.services.budgets.provider import BudgetsProvider
from emulator.services.cloudwatch.provider import CloudWatchProvider
from emulator.services.codebuild.provider import CodeBuildProvider
from emulator.services.ec2.provider import Ec2Provider
from emulator.services.emr.provider import EmrProvider
from emulator.services.events.provider import EventsProvider
from emulator.services.kms.provider import KmsProvider
from emulator.services.lambda_.provider import LambdaProvider
from emulator.services.logs.provider import LogsProvider
from emulator.services.s3.provider import S3Provider
from emulator.services.sagemaker.provider import SageMakerProvider
from emulator.services.scheduler.provider import SchedulerProvider
from emulator.validation.check import validate
from emulator.wire import Operation, Request, Response, Route, render

ADDRESS = "127.0.0.1"
PERMISSIONS_PATH = "/_aws/permissions"  # uses and refusals of the roles, as JSON
SHUTDOWN_POLL_S = 0.05
_running = threading.Lock()  # moto's state is global to the process


@dataclass(frozen=True)
class Wiring:
    """Arguments that a provider factory can pass to its provider."""

    host: Host
    forward: Forward
    emit: EmitEvent
    invoke_function: InvokeFunction


ProviderFactory = Callable[[Wiring], Provider]

# In the order in which their routes are matched.
PROVIDERS: Mapping[str, ProviderFactory] = {
    "events": lambda wiring: EventsProvider(wiring.host),
    "lambda": lambda wiring: LambdaProvider(wiring.host, wiring.forward),
    "autoscaling": lambda wiring: AutoScalingProvider(wiring.forward),
    "budgets": lambda wiring: BudgetsProvider(wiring.host, wiring.forward),
    "cloudwatch": lambda wiring: CloudWatchProvider(wiring.host, wiring.emit),
    "codebuild": lambda wiring: CodeBuildProvider(wiring.host, wiring.forward, wiring.emit),
    "ec2": lambda _: Ec2Provider(),
    "emr": lambda wiring: EmrProvider(wiring.host, wiring.forward, wiring.emit),
    "apigateway": lambda wiring: ApiGatewayProvider(wiring.host, wiring.forward, wiring.invoke_function),
    "sagemaker": lambda wiring: SageMakerProvider(wiring.host, wiring.forward, wiring.emit),
    "kms": lambda wiring: KmsProvider(wiring.host, wiring.forward),
    "logs": lambda wiring: LogsProvider(wiring.forward),
    "scheduler": lambda wiring: SchedulerProvider(wiring.host, wiring.forward),
    "s3": lambda wiring: S3Provider(wiring.forward),
}


class Emulator:
    """moto's server with providers in front of it, on 127.0.0.1; at most one per process.

    Args:
        region: region of requests without one.
        root: folder of logs and working files.
        has_views: whether child processes see private folders at the paths that their service documents;
            None: if the system allows it.
        providers: factories by service name; moto answers services without a provider.

    >>> with Emulator(root=Path(".local")).start() as emulator:
    ...     emulator.client("s3").create_bucket(...)
    """

    def __init__(
        self,
        *,
        region: str = "ap-northeast-2",
        root: Path = Path(".local"),
        has_views: bool | None = None,
        providers: Mapping[str, ProviderFactory] = PROVIDERS,
    ) -> None:
        self.root = root.resolve()
        self.host = Host(self.root, region, has_views=has_views)
        self.wanted_port = 0
        self._factories = providers
        self._providers: dict[str, Provider] = {}
        self._operations: dict[str, Operation] = {}
        self._routes: list[tuple[Route, re.Pattern[str]]] = []
        self._patches = MotoPatches()
        self._moto = moto_state.make_forward()
        self._server: Any = None

    # -- lifetime -------------------------------------------------------------------------------
    def start(self, port: int = 0) -> Emulator:
        """Listen on ``port``; when it is 0 or in use, on a free port (see `url` and `moved`).

        Raises:
            OSError: no port can be bound, or the working folder cannot be created.
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
        self.host.open()
        self.host.logs.open(cloud=logging.getLogger("emulator"), requests=http.log)
        self.wanted_port = port
        listener = http.listen(ADDRESS, port)
        self._server = make_server(
            ADDRESS,
            0,
            self._answer,
            threaded=True,
            request_handler=http.KeepAliveHandler,
            fd=listener.fileno(),
        )
        listener.close()  # the server holds a duplicate
        self.host.url = f"http://{ADDRESS}:{self._server.socket.getsockname()[1]}"
        wiring = Wiring(self.host, self._forward, self._emit, self._invoke_function)
        self._add_routes(self.host.sessions.routes())
        for name, factory in self._factories.items():
            provider = self._providers[name] = factory(wiring)
            self._operations.update(provider.operations())
            self._add_routes(provider.routes())
        threading.Thread(
            target=self._server.serve_forever, args=(SHUTDOWN_POLL_S,), name="emulator", daemon=True
        ).start()

    def _add_routes(self, routes: Iterable[Route]) -> None:
        self._routes += [(route, re.compile(route.pattern)) for route in routes]

    def close(self) -> None:
        """End every child process, the providers and the server; delete every resource."""
        if not self.host.begin_close():
            return
        for provider in self._providers.values():
            provider.close()
        self._providers = {}
        if self._server is not None:
            self._server.shutdown()
        self.host.logs.close()
        self.host.close()
        self._patches.undo()
        moto_state.reset()
        _running.release()

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- clients --------------------------------------------------------------------------------
    @property
    def url(self) -> str:
        """Endpoint of every service."""
        return self.host.url

    @property
    def port(self) -> int:
        """Port that the server listens on."""
        return int(self.url.rpartition(":")[2])

    @property
    def moved(self) -> bool:
        """Whether the wanted port was in use."""
        return self.wanted_port not in (0, self.port)

    @property
    def region(self) -> str:
        """Region of requests without one."""
        return self.host.default_region

    @property
    def account_id(self) -> str:
        """The emulator's only account."""
        return self.host.account_id

    def client(self, service: str, region: str | None = None) -> Any:
        """boto3 client; clients are cached and thread-safe."""
        return self.host.client(service, region)

    def listen(self, listener: LogListener) -> None:
        """Call ``listener(group, stream, line)`` for every log line from now on, on the thread that logs."""
        self.host.logs.listen(listener)

    # -- functions of one provider that others call -----------------------------------------------
    def _forward(self, request: Request) -> Response:
        with contextlib.ExitStack() as stack:
            for provider in self._providers.values():
                stack.enter_context(provider.around_moto())
            return without_absent_members(request, self._moto(request))

    def _emit(
        self,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Iterable[str],
        region: str,
    ) -> None:
        events = self._providers.get("events")
        if not isinstance(events, EventsProvider):
            raise LookupError("the emulator runs without EventBridge")
        events.emit(source, detail_type, detail, resources, region)

    def _invoke_function(self, function: Any, payload: str) -> FunctionResult:
        functions = self._providers.get("lambda")
        if not isinstance(functions, LambdaProvider):
            raise LookupError("the emulator runs without Lambda")
        return functions.invoke(function, payload)

    # -- requests -------------------------------------------------------------------------------
    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not http.is_local_request(environ):
            refused = Response(403, {"message": "the emulator answers requests from this machine only"})
            return http.send(refused, start_response)
        request = http.read_request(environ, self.region)
        return http.send(http.answer(request, self.dispatch), start_response)

    def dispatch(self, request: Request) -> Response:
        """Validate, authorise and answer one request."""
        if request.path == PERMISSIONS_PATH:
            return Response(200, self.host.access.ledger.as_json())
        if (call := identify(request)) is not None:
            validate(call, request)
            self.host.access.check_request(request, call)
        if handler := self._operations.get(request.target):
            return render(handler(request))
        for route, pattern in self._routes:
            if route.method in ("*", request.method) and route.service in (None, request.service):
                match = pattern.fullmatch(request.raw_path)
                if match:
                    return route.handler(request, match)
        response = self._forward(request)
        if call is not None and call.service != "s3" and moto_state.is_page_not_found(response):
            raise not_implemented(f"{call.service} {call.name}")
        return response
