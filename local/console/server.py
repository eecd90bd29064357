"""HTTP server of the console on 127.0.0.1: one static page, and one JSON endpoint."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from botocore.exceptions import BotoCoreError, ClientError
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, MethodNotAllowed, NotFound
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from local.console.state import Console
from local.errors import BadInputError, StepFailedError

ADDRESS = "127.0.0.1"
PAGE = Path(__file__).with_name("page.html")
API = "/api"
MAX_BODY = 100_000  # bytes of a request: 200 recent items of the longest ids
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class ConsoleApp:
    """WSGI application of the console.

    Only pages that it served may use it: the host name is checked, because another site's name may be
    made to resolve to this address, and so is the origin of each request that changes something.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._page = PAGE.read_bytes()
        self._policy = content_security_policy(self._page.decode())

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        try:
            response = self._respond(Request(environ))
        except HTTPException as error:
            response = _json({"error": error.description}, error.code or 500)
        response.headers.update({**HEADERS, "Content-Security-Policy": self._policy})
        return response(environ, start_response)

    def _respond(self, request: Request) -> Response:
        port = request.environ["SERVER_PORT"]
        hosts = [f"{name}:{port}" for name in (ADDRESS, "localhost")]
        if request.headers.get("Host") not in hosts:
            raise Forbidden(f"open the console as http://{hosts[0]}/")
        if request.path == "/":
            return Response(self._page, content_type="text/html; charset=utf-8")
        if request.path != API:
            raise NotFound(f"{request.path}: the console has / and {API}")
        if request.method == "GET":
            return _answer(self._console.state)
        if request.method != "POST":
            raise MethodNotAllowed(["GET", "POST"])
        if request.headers.get("Origin") not in [f"http://{host}" for host in hosts]:
            raise Forbidden("requests of other sites are refused")
        body = _body(request)
        return _answer(lambda: self._console.act(body))


def content_security_policy(page: str) -> str:
    """Policy that allows the inline style and script of the page, by hash, and requests to its own origin."""

    def hashes(tag: str) -> str:
        contents = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digests = (hashlib.sha256(content.encode()).digest() for content in contents)
        return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@contextmanager
def serve(console: Console, port: int = 0) -> Iterator[str]:
    """Serve the console in a thread while the block runs; yields its URL.

    Args:
        console: what the page shows.
        port: 0: a free one.
    """
    server = make_server(ADDRESS, port, ConsoleApp(console), threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, name="console", daemon=True)
    thread.start()
    try:
        yield f"http://{ADDRESS}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(WSGIRequestHandler):
    """Writes no line per request to the terminal."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's signature
        del type, message, args


def _body(request: Request) -> dict[str, Any]:
    if request.content_length is None or request.content_length > MAX_BODY:
        raise BadRequest(f"the body needs a length of at most {MAX_BODY} bytes")
    found = request.get_json()
    if not isinstance(found, dict):
        raise BadRequest("the body is not a JSON object")
    return found


def _answer(call: Callable[[], dict[str, Any]]) -> Response:
    try:
        return _json(call(), 200)
    except BadInputError as error:
        return _json({"error": str(error)}, 400)
    except StepFailedError as error:
        return _json({"error": error.reason}, 502)
    except (ClientError, BotoCoreError, requests.RequestException) as error:
        return _json({"error": str(error)}, 502)


def _json(content: dict[str, Any], status: int) -> Response:
    return Response(json.dumps(content), status, content_type="application/json")
