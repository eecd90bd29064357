"""Load on the serving stack and on the API, at a constant rate, with 16 connections.

    python bench/load.py stack --model out/model --rates 100 200 300 --json out/load.json
    python bench/load.py api --rates 20 --json out/api.json

`stack`: TorchServe and sagemaker-pytorch-inference (`make environment-container`) with an artifact of
`bench/serving.py --model`. `api`: the dev stage on the emulator with a small model, through the HTTP API, the
function `recommend` and the endpoint. Each rate is one measurement; with several --workers, --threads or
--queues, each combination starts its own stack. Client and server share this machine; the CPU seconds of both
are in the result. With --max-p99-ms, the exit status is 1 unless some rate has no error
and a 99th percentile below it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil

from bench.open_loop import Load, Request, drive
from bench.served_stage import N_USERS, served_stage
from bench.serving_stack import HOST, toolkit
from ml.ncf.model import artifact
from ml.serving.model_server import MAIN_CLASS

ROOT = Path(__file__).resolve().parents[1]
CONTAINER_PYTHON = ROOT / ".venv-container" / "bin" / "python"
N_REQUESTS = 10_000  # different ones; more users than a cache of answers could help
WARM_UP_S = 5.0
WORKER_SCRIPT = "model_service_worker.py"


def invocations(model: Path, n_items: int) -> list[Request]:
    """Requests of the container for one user each, in random order."""
    data = artifact.read(model).data
    if data is None:
        raise SystemExit(f"{model}: no model; write one with `python bench/serving.py --model {model}`")
    users = np.random.default_rng(1).integers(len(data.user_ids), size=N_REQUESTS).tolist()
    bodies = ({"instances": [{"user_id": data.user_ids[user], "k": n_items}]} for user in users)
    return [Request("/invocations", json.dumps(body)) for body in bodies]


def api_requests(n_items: int) -> list[Request]:
    """GET for one user, and every fourth a POST with a session."""
    requests = []
    for number in range(N_USERS):
        if number % 4:
            requests.append(Request(f"/recommendations/u{number}?k={n_items}"))
        else:
            body = {"user_ids": [f"u{number}"], "k": n_items, "recent_items": [str(number), str(number + 1)]}
            requests.append(Request("/recommendations", json.dumps(body)))
    return requests


@dataclass(frozen=True)
class Stack:
    """Settings of the container; None: its default."""

    workers: int | None
    threads: int
    queue: int | None

    @property
    def environment(self) -> dict[str, str]:
        values = {
            "OMP_NUM_THREADS": self.threads,
            "SAGEMAKER_MODEL_SERVER_WORKERS": self.workers,
            "TS_JOB_QUEUE_SIZE": self.queue,
        }
        return {name: str(value) for name, value in values.items() if value is not None}


@contextmanager
def stack(given: argparse.Namespace, settings: Stack) -> Iterator[tuple[str, list[Request]]]:
    """The serving stack on an artifact: its URL and its requests."""
    if not CONTAINER_PYTHON.exists():
        raise SystemExit(f"{CONTAINER_PYTHON} is missing: run `make environment-container`")
    with (
        tempfile.TemporaryDirectory() as folder,
        toolkit(CONTAINER_PYTHON, given.model, Path(folder), settings.environment) as server,
    ):
        yield f"http://{HOST}:{server.port}", invocations(given.model, given.k)


@contextmanager
def api(given: argparse.Namespace, _: Stack) -> Iterator[tuple[str, list[Request]]]:
    """The API of the dev stage: its URL and its requests."""
    with served_stage() as served:
        yield served.api_url.replace("localhost", HOST), api_requests(given.k)


TARGETS: dict[str, Callable[[argparse.Namespace, Stack], Any]] = {"stack": stack, "api": api}


def server_processes() -> set[psutil.Process]:
    """This process, its children, and all processes of the sessions that they started.

    The processes of TorchServe are no descendants of the entrypoint, but are in its session.
    """
    own, own_session = psutil.Process(), os.getsid(0)
    children = own.children(recursive=True)
    sessions = {_session(each.pid) for each in children} - {own_session, None}
    others = (each for each in psutil.process_iter() if _session(each.pid) in sessions)
    return {own, *children, *others}


def server_cpu_s() -> float:
    """CPU seconds of the server so far."""
    total = 0.0
    for process in server_processes():
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def server_memory() -> dict[str, float]:
    """Anonymous memory, without mapped files, of the largest worker of TorchServe and of its JVM, in MiB."""
    found = {"worker_mib": 0.0, "jvm_mib": 0.0}
    for process in server_processes():
        with suppress(psutil.NoSuchProcess, OSError):
            command = " ".join(process.cmdline())
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            for name, program in (("worker_mib", WORKER_SCRIPT), ("jvm_mib", MAIN_CLASS)):
                if program in command:
                    (size,) = (int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
                    found[name] = max(found[name], size / 1024)
    return found


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def measure(load: Load) -> dict[str, Any]:
    """One measurement, with the CPU time of the server."""
    before = server_cpu_s()
    outcome = drive(load)  # its process has ended, so that its CPU time is not counted
    server_s = server_cpu_s() - before
    summary = outcome.summary(load)
    n_answers = max(1, len(outcome.latencies))
    return {**summary, "server_cpu_s": server_s, "server_cpu_ms_per_answer": 1e3 * server_s / n_answers}


def run(given: argparse.Namespace, settings: Stack) -> list[dict[str, Any]]:
    """All measurements of a target with one stack."""
    rows = []
    with TARGETS[given.target](given, settings) as (url, requests):

        def load(rate: float, seconds: float) -> Load:
            return Load(url, requests, rate, seconds, given.connections, given.k)

        drive(load(min(given.rates), WARM_UP_S))
        for rate in given.rates:
            row = asdict(settings) | measure(load(rate, given.seconds)) | server_memory()
            rows.append(row)
            print(
                f"{settings} {rate:6g}/s: p50 {row['p50_ms'] or 0:.1f} ms, p99 {row['p99_ms'] or 0:.1f} ms, "
                f"{row['errors']} errors of {row['requests']}, "
                f"{row['server_cpu_ms_per_answer']:.1f} ms of CPU per answer, "
                f"{row['worker_mib']:.0f} MiB per worker, {row['jvm_mib']:.0f} MiB of the JVM",
                flush=True,
            )
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python bench/load.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--model", type=Path, help="folder of an artifact (stack)")
    parser.add_argument("--rates", type=float, nargs="+", default=[200.0], help="requests per second")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--k", type=int, default=10, help="items per user")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[None], help="of TorchServe (default: one per CPU)"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="of each worker")
    parser.add_argument(
        "--queues", type=int, nargs="+", default=[None], help="requests that TorchServe holds"
    )
    parser.add_argument("--max-p99-ms", type=float)
    parser.add_argument("--json", type=Path, help="file for the result")
    given = parser.parse_args(argv)
    if given.target == "stack" and given.model is None:
        parser.error("--model is required: the folder of an artifact, see bench/serving.py")
    rows = []
    for settings in product(given.workers, given.threads, given.queues):
        rows += run(given, Stack(*settings))
    result = {
        "target": given.target,
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "k": given.k,
        "measurements": rows,
    }
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(result, indent=2) + "\n")
    if given.max_p99_ms is None:
        return 0
    good = [row for row in rows if row["errors"] == 0 and row["p99_ms"] <= given.max_p99_ms]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
