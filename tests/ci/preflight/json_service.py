"""HTTP server that answers JSON operations of AWS, for services that the emulator does not run."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answers = dict[str, Callable[[dict[str, Any]], dict[str, Any]]]
"""Operation, or path of a REST operation, to a function of the request; ``__type`` marks an error."""


@contextmanager
def json_service(answers: Answers) -> Iterator[str]:
    """Serve operations; yields the endpoint URL. `answers` may change while it runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            self._answer(operation, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def do_GET(self) -> None:
            self._answer(self.path.partition("?")[0], {})

        def _answer(self, operation: str, request: dict[str, Any]) -> None:
            result = answers[operation](request)
            body = json.dumps(result).encode()
            self.send_response(400 if "__type" in result else 200)
            self.send_header("Content-Length", str(len(body)))
            if "__type" in result:
                self.send_header("x-amzn-errortype", result["__type"])
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
