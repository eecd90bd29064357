"""The HTTP side of the emulator: requests in, providers or moto, responses out."""

from __future__ import annotations

import io
import ipaddress
import logging
import socket
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.datastructures import EnvironHeaders, Headers, MultiDict
from werkzeug.serving import DechunkedInput
from werkzeug.test import run_wsgi_app

from emulator.wire import Request, Response, ServiceError, render_error

IDLE_S = 65  # keep-alive; longer than the 60 s for which boto3 waits
log = logging.getLogger("emulator.requests")


class KeepAliveHandler(MotoRequestHandler):
    """Keeps connections open: werkzeug's handler closes each one, because it may leave a body unread.

    The whole request body is read before the application runs, so nothing is left.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one write a response
    timeout = IDLE_S

    def run_wsgi(self) -> None:
        """Answers one request of the connection."""
        if self.headers.get("Expect", "").lower().strip() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        self.environ = self.make_environ()
        body = self._read_body()
        self.environ["wsgi.input"] = io.BytesIO(body)
        self.environ["CONTENT_LENGTH"] = str(len(body))
        started = time.perf_counter()
        chunks, status, headers = run_wsgi_app(self.server.app, self.environ, buffered=True)
        payload = b"".join(chunks)
        self._send(int(status.split()[0]), headers, payload)
        log.info("%s %s %s %.0f ms", self.command, self.path, status, 1e3 * (time.perf_counter() - started))

    def _read_body(self) -> bytes:
        if self.environ.get("wsgi.input_terminated"):
            return DechunkedInput(self.rfile).read() or b""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status: int, headers: Headers, payload: bytes) -> None:
        self.send_response(status)
        has_body = status >= 200 and status not in (204, 304)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server") and (
                name.lower() != "content-length" or self.command == "HEAD"
            ):
                self.send_header(name, value)
        if has_body and not (self.command == "HEAD" and "Content-Length" in headers):
            self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if has_body and self.command != "HEAD":
            self.wfile.write(payload)
        self.wfile.flush()

    def handle_expect_100(self) -> bool:
        """`run_wsgi` answers the expectation."""
        return True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """`run_wsgi` logs, with the time that the request took."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Goes to the request log, never to the terminal."""
        log.log(logging.ERROR if type == "error" else logging.INFO, message, *args)

    def connection_dropped(self, *_: Any) -> None:
        """A client that went away needs no answer; the thread ends."""
        self.close_connection = True


def read_request(environ: dict[str, Any], default_region: str) -> Request:
    """The AWS request in a WSGI environment whose input holds the whole body."""
    body = environ["wsgi.input"].read()
    environ["wsgi.input"] = io.BytesIO(body)
    headers = Headers(EnvironHeaders(environ))
    service, region = _credential_scope(headers.get("Authorization", ""))
    query = MultiDict(
        (name, value)
        for name, values in parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True).items()
        for value in values
    )
    if not service and (scope := query.get("X-Amz-Credential", "").split("/"))[3:]:  # a presigned URL
        region, service = scope[2], scope[3]
    target = headers.get("X-Amz-Target", "")
    service = service or target.partition(".")[0].lower()
    if not target and (headers.get("Content-Type") or "").startswith("application/x-www-form-urlencoded"):
        action = parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
        target = f"{service}.{action}" if action else ""
    raw_path = environ.get("RAW_URI", environ.get("PATH_INFO", "/")).partition("?")[0]
    return Request(
        service=service,
        region=region or default_region,
        operation=target.rpartition(".")[2],
        target=target,
        method=environ["REQUEST_METHOD"],
        path=unquote(raw_path),
        raw_path=raw_path,
        query=query,
        headers=headers,
        body=body,
        environ=environ,
    )


def _credential_scope(authorization: str) -> tuple[str, str]:
    """(service, region) of ``AWS4-HMAC-SHA256 Credential=KEY/20261123/eu-west-1/s3/aws4_request, …``."""
    _, found, credential = authorization.partition("Credential=")
    scope = credential.partition(",")[0].split("/")
    return (scope[3], scope[2]) if found and len(scope) == 5 else ("", "")


def is_of_this_machine(environ: dict[str, Any]) -> bool:
    """Whether a request names this machine as its host, and comes from no web page of another one.

    The server runs code for whoever can reach it; a page in the user's browser can, by a form or by a name
    that it lets point to 127.0.0.1.
    """
    hosts = [environ.get("HTTP_HOST", "")]
    if origin := environ.get("HTTP_ORIGIN", ""):
        hosts.append(urlsplit(origin).netloc)
    return all(_is_local_name(urlsplit(f"//{host}").hostname or "") for host in hosts)


def _is_local_name(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def answer(request: Request, handler: Callable[[Request], Response]) -> Response:
    """The handler's response; what it raises becomes an error response."""
    try:
        return handler(request)
    except ServiceError as error:
        return render_error(error, request)
    except Exception as error:  # one bad request must not end the server
        log.error("%s %s\n%s", request.target or request.method, request.path, traceback.format_exc())
        missing = isinstance(error, NotImplementedError)
        return render_error(
            ServiceError(
                "NotImplemented" if missing else "InternalFailure",
                f"the emulator: {request.service} {request.operation or request.path}: "
                f"{type(error).__name__}: {error}",
                501 if missing else 500,
            ),
            request,
        )


def send(response: Response, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A response by WSGI."""
    body, headers = response.encoded()
    start_response(f"{response.status} ", list(headers.items()))
    return [body]


def listen(host: str, wanted: int) -> socket.socket:
    """A listening socket on ``wanted``, or on a port of the system's choice when that is taken (or 0)."""
    try:
        return socket.create_server((host, wanted), backlog=128)
    except OSError:
        return socket.create_server((host, 0), backlog=128)
