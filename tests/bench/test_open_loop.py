"""Client with a constant rate: what its latencies contain, and which answers are errors."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bench.open_loop import Load, Outcome, Request, drive

ITEMS = [{"item_id": str(n), "score": 1.0} for n in range(10)]
SERVICE_S = 0.05


class _Handler(BaseHTTPRequestHandler):
    """Answers `/good` and `/short` after SERVICE_S, `/broken` with 500."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(SERVICE_S)
        items = ITEMS if self.path == "/good" else ITEMS[:9]
        body = json.dumps({"user_id": "u1", "items": items, "strategy": "ncf"}).encode()
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Do nothing."""


@contextmanager
def slow_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """One connection, twice as many requests per second as it can have; and answers that are not complete."""
    with slow_server() as url:
        good, short, broken = (Request(path) for path in ("/good", "/short", "/broken"))
        return {
            "overload": drive(Load(url, [good], rate=2 / SERVICE_S, seconds=0.8, connections=1)),
            "faults": drive(Load(url, [good, short, broken], rate=15, seconds=0.8, connections=2)),
        }


def test_waiting_for_a_connection_is_part_of_the_latency(outcomes: dict[str, Outcome]) -> None:
    found = outcomes["overload"]
    assert (len(found.latencies), found.n_errors) == (32, 0)
    # The last request waits for the 16 that the connection is behind by then.
    assert max(found.latencies) > 12 * SERVICE_S
    assert min(found.latencies) >= SERVICE_S


def test_incomplete_lists_and_other_statuses_are_errors(outcomes: dict[str, Outcome]) -> None:
    found = outcomes["faults"]
    assert (len(found.latencies), found.n_errors) == (4, 8)
    assert {error.split(":")[0] for error in found.errors} == {"status 200", "status 500"}
    assert found.strategies == {"ncf": 4}


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1:80", "http://example.com", "http://127.0.0.1.example.com:80"]
)
def test_load_is_sent_to_this_machine_only(url: str) -> None:
    with pytest.raises(ValueError, match="only sent to this machine"):
        Load(url, [Request("/")], rate=1, seconds=1)


def test_load_is_bounded() -> None:
    with pytest.raises(ValueError, match="at most"):
        Load("http://127.0.0.1:1", [Request("/")], rate=1e6, seconds=1)
