"""HTTP client with a constant rate: requests start at fixed times, whether or not earlier ones are answered.

In a closed loop each client waits for its answer before it sends the next request: it sends fewer requests to
a slow server, and leaves their waiting out of the latencies (coordinated omission). Here the latency of a
request begins at its scheduled time, so that waiting for a free connection is part of it.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_S = 10.0  # of one request, from its scheduled time to the end of the answer
LOOPBACK = "http://127.0.0.1:"
MAX_RATE, MAX_SECONDS = 2_000.0, 300.0
MAX_ERRORS = 5  # kept as text


@dataclass(frozen=True)
class Request:
    """One request; the bodies of requests are JSON."""

    path: str
    body: str | None = None  # None: GET

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"


@dataclass(frozen=True)
class Load:
    """Load on a server of this machine.

    Attributes:
        url: address of the server, on the loopback interface.
        requests: sent in turn, again from the first after the last.
        rate: requests per second.
        seconds: duration of the schedule.
        connections: open at a time; each has one request at a time.
        n_items: length of a complete list of recommendations.
    """

    url: str
    requests: Sequence[Request]
    rate: float
    seconds: float
    connections: int = 16
    n_items: int = 10

    def __post_init__(self) -> None:
        if not self.url.startswith(LOOPBACK):
            raise ValueError(f"url {self.url}: load is only sent to this machine, {LOOPBACK}<port>")
        if not 0 < self.rate <= MAX_RATE or not 0 < self.seconds <= MAX_SECONDS:
            raise ValueError(
                f"{self.rate:g} requests per second for {self.seconds:g} s: at most {MAX_RATE:g} for "
                f"{MAX_SECONDS:g} s"
            )


@dataclass
class Outcome:
    """Latencies in seconds of the answered requests, and the errors of the others."""

    latencies: list[float] = field(default_factory=list)
    strategies: Counter[str] = field(default_factory=Counter)
    n_errors: int = 0
    errors: list[str] = field(default_factory=list)
    last_answer_s: float = 0.0  # since the first scheduled time
    client_cpu_s: float = 0.0

    def fail(self, reason: str) -> None:
        """Count an error."""
        self.n_errors += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(reason)

    def summary(self, load: Load) -> dict[str, Any]:
        """The result as JSON."""
        milliseconds = np.array(self.latencies) * 1e3
        answered = len(milliseconds)
        quantiles = {
            name: float(np.quantile(milliseconds, share)) if answered else None
            for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999), ("max_ms", 1.0))
        }
        return {
            "rate_per_second": load.rate,
            "seconds": load.seconds,
            "connections": load.connections,
            "requests": answered + self.n_errors,
            "answers_per_second": answered / self.last_answer_s if answered else 0.0,
            **quantiles,
            "errors": self.n_errors,
            "first_errors": self.errors,
            "strategies": dict(self.strategies),
            "client_cpu_s": self.client_cpu_s,
        }


def drive(load: Load) -> Outcome:
    """Send the load from a process that shares no interpreter with the server; returns when it is over."""
    client = subprocess.run(
        [sys.executable, "-m", "bench.open_loop"],
        cwd=ROOT,
        input=json.dumps(asdict(load)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=load.seconds + 10 * TIMEOUT_S,
    )
    found = json.loads(client.stdout)
    return Outcome(**{**found, "strategies": Counter(found["strategies"])})


async def _send_all(load: Load) -> Outcome:
    outcome = Outcome()
    due: asyncio.Queue[tuple[int, float] | None] = asyncio.Queue()
    connector = aiohttp.TCPConnector(limit=load.connections)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        # The connections are open before the first scheduled time, as those of a running service.
        await asyncio.gather(*(_send(session, load, number) for number in range(load.connections)))
        began = time.perf_counter()

        async def connection() -> None:
            while (scheduled := await due.get()) is not None:
                number, moment = scheduled
                await _measure(session, load, number, moment, outcome)
                outcome.last_answer_s = max(outcome.last_answer_s, time.perf_counter() - began)

        connections = [asyncio.create_task(connection()) for _ in range(load.connections)]
        for number in range(int(load.rate * load.seconds)):
            moment = began + number / load.rate
            if (pause := moment - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            due.put_nowait((number, moment))
        for _ in connections:
            due.put_nowait(None)
        await asyncio.gather(*connections)
    return outcome


async def _measure(
    session: aiohttp.ClientSession, load: Load, number: int, moment: float, outcome: Outcome
) -> None:
    """Send one request, and add its latency or its error to the outcome."""
    left_s = moment + TIMEOUT_S - time.perf_counter()
    if left_s <= 0:
        outcome.fail(f"no connection was free for {TIMEOUT_S:g} s")
        return
    try:
        async with asyncio.timeout(left_s):
            status, body = await _send(session, load, number)
    except (aiohttp.ClientError, TimeoutError) as error:
        outcome.fail(repr(error))
        return
    found = _recommendations(body) if status == 200 else None
    if found is None or any(len(each["items"]) != load.n_items for each in found):
        outcome.fail(f"status {status}: {body[:200]!r}")
        return
    outcome.latencies.append(time.perf_counter() - moment)
    outcome.strategies.update(each["strategy"] for each in found)


async def _send(session: aiohttp.ClientSession, load: Load, number: int) -> tuple[int, bytes]:
    request = load.requests[number % len(load.requests)]
    headers = {} if request.body is None else {"Content-Type": "application/json"}
    url = load.url + request.path
    async with session.request(request.method, url, data=request.body, headers=headers) as response:
        return response.status, await response.read()


def _recommendations(body: bytes) -> list[dict[str, Any]] | None:
    """The users' recommendations of an answer of the container or of the API; None if it has none."""
    try:
        document = json.loads(body)
        found = document.get("predictions") or document.get("recommendations") or [document]
        return [{"items": each["items"], "strategy": each["strategy"]} for each in found]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def main() -> None:
    """The client: reads a load from stdin, sends it and writes the outcome to stdout, both as JSON."""
    document = json.load(sys.stdin)
    load = Load(**{**document, "requests": [Request(**each) for each in document["requests"]]})
    outcome = asyncio.run(_send_all(load))
    usage = resource.getrusage(resource.RUSAGE_SELF)  # of this process, its start included
    outcome.client_cpu_s = usage.ru_utime + usage.ru_stime
    json.dump(vars(outcome), sys.stdout)


if __name__ == "__main__":
    main()
