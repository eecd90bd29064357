"""HTTP server: keep-alive handler, request parsing, error responses, access check."""

from __future__ import annotations

import io
import ipaddress
import logging
import socket
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.datastructures import EnvironHeaders, Headers, MultiDict
from werkzeug.serving import DechunkedInput
from werkzeug.test import run_wsgi_app

from emulator.wire import Request, Response, ServiceError, render_error

IDLE_S = 65  # keep-alive timeout; longer than the 60 s after which boto3 closes idle connections
log = logging.getLogger("emulator.requests")


class KeepAliveHandler(MotoRequestHandler):
    """HTTP/1.1 handler with keep-alive.

    werkzeug's handler closes each connection because the application may leave the body unread; this one
    reads the whole body first.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one write per response
    timeout = IDLE_S

    def run_wsgi(self) -> None:
        """Answer one request of the connection."""
        if self.headers.get("Expect", "").lower().strip() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        self.environ = self.make_environ()
        for name in ("RAW_URI", "REQUEST_URI"):
            self.environ[name] = origin_form(self.environ[name])
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
        """Do nothing; `run_wsgi` sends 100 Continue."""
        return True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Do nothing; `run_wsgi` logs the request with its duration."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write to the request log instead of the terminal."""
        log.log(logging.ERROR if type == "error" else logging.INFO, message, *args)

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log an error, except the timeout of an idle connection."""
        if not format.startswith("Request timed out"):
            super().log_error(format, *args)

    def connection_dropped(self, *_: Any) -> None:
        """End the thread when the client has disconnected."""
        self.close_connection = True


def origin_form(target: str) -> str:
    """Request target as a path and query.

    Clients that use the emulator as their HTTP proxy send the whole URL (RFC 9112, "absolute-form"). The AWS
    provider needs the proxy for S3 Control, whose host name begins with the account id and does not resolve.
    """
    parts = urlsplit(target)
    if not (parts.scheme and parts.netloc):
        return target
    return urlunsplit(("", "", parts.path or "/", parts.query, ""))


def read_request(environ: dict[str, Any], default_region: str) -> Request:
    """Parse the AWS request of a WSGI environment whose input holds the whole body."""
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


def is_local_request(environ: dict[str, Any]) -> bool:
    """Whether the Host header, and the Origin header if present, name this machine.

    The server runs code for its clients. Without this check a web page in the user's browser could send
    requests to it, with a form or by DNS rebinding.
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
    """Response of a handler; exceptions become error responses."""
    try:
        return handler(request)
    except ServiceError as error:
        log.info("%s %s: %s: %s", request.target or request.method, request.path, error.code, error.message)
        return render_error(error, request)
    except Exception as error:  # a failed request must not end the server
        log.error("%s %s\n%s", request.target or request.method, request.path, traceback.format_exc())
        not_implemented = isinstance(error, NotImplementedError)
        return render_error(
            ServiceError(
                "NotImplemented" if not_implemented else "InternalFailure",
                f"the emulator: {request.service} {request.operation or request.path}: "
                f"{type(error).__name__}: {error}",
                501 if not_implemented else 500,
            ),
            request,
        )


def send(response: Response, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Send a response through WSGI; returns the body."""
    body, headers = response.encoded()
    start_response(f"{response.status} ", list(headers.items()))
    return [body]


def listen(host: str, wanted: int) -> socket.socket:
    """Listening socket on port ``wanted``, or on a free port when that is in use or 0."""
    try:
        return socket.create_server((host, wanted), backlog=128)
    except OSError:
        return socket.create_server((host, 0), backlog=128)
