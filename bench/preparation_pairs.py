"""Benchmark of the preparation job against the job of another commit, in pairs of runs on the same events.

    git worktree add --detach /tmp/before dd6825e
    python bench/preparation_pairs.py --baseline /tmp/before   # the data of make up: start-up
    python bench/preparation_pairs.py --baseline /tmp/before --rows 25000000 --pairs 1

Both run in the environment of this Python, one after the other, so that other load on the machine counts for
both. CPU time is that of all processes of a run, including the JVM that outlives the command. `files` says
whether the data files of both are the same, byte for byte; of an older commit they may differ.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.preparation import ROOT, write_events
from ml.synthetic import generate, write_csv

RUN_ID = "20270101T000000Z"  # after the events
SHOP = {"n_users": 1500, "n_items": 800, "n_interactions": 60_000, "seed": 7}  # the data of make up
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


@dataclass(frozen=True)
class Measured:
    """One run of the job."""

    cpu_s: float
    wall_s: float
    digest: str  # of all data files


def measure(code: Path, source: Path) -> Measured:
    """Run the job of a working tree.

    Raises:
        SystemExit: the job failed.
    """
    with tempfile.TemporaryDirectory(dir=source.parent) as output:
        command = [sys.executable, "-m", "ml.preparation", "--input", str(source), "--output", output]
        environment = {**os.environ, "PYTHONPATH": str(code)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # each run would compile its modules
        cpu_before, began = _cpu_s_of_children(), time.perf_counter()
        done = subprocess.run(
            [*command, "--run-id", RUN_ID],
            cwd=code,
            env=environment,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        wall_s = time.perf_counter() - began
        _wait_for_children()
        if done.returncode != 0:
            raise SystemExit(f"{code}: exit status {done.returncode}")
        return Measured(_cpu_s_of_children() - cpu_before, wall_s, _digest(Path(output)))


def _cpu_s_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _wait_for_children() -> None:
    """Wait for the JVM, which this process has adopted."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.parquet")):
        digest.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def write_source(path: Path, n_rows: int | None) -> None:
    """Write the events of make up, or `n_rows` events of `bench/preparation.py`."""
    if n_rows is None:
        write_csv(generate(**SHOP), path)
    else:
        write_events(path, n_rows, 0.0)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--baseline", type=Path, required=True, help="working tree of the other commit")
    parser.add_argument("--rows", type=int, help="events; without it those of make up")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="output file for the measurements")
    given = parser.parse_args(argv)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    found: list[tuple[Measured, Measured]] = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "events.csv")
        write_source(source, given.rows)
        for _ in range(given.pairs):
            before, now = measure(given.baseline.resolve(), source), measure(ROOT, source)
            found.append((before, now))
            print(
                f"before: {before.cpu_s:.1f} s CPU, {before.wall_s:.1f} s; now: {now.cpu_s:.1f} s CPU, "
                f"{now.wall_s:.1f} s; files {'the same' if before.digest == now.digest else 'differ'}",
                flush=True,
            )
    ratios = {
        "cpu": statistics.median(now.cpu_s / before.cpu_s for before, now in found),
        "wall": statistics.median(now.wall_s / before.wall_s for before, now in found),
    }
    print(f"median ratio now / before: CPU {ratios['cpu']:.2f}, wall {ratios['wall']:.2f}")
    if given.json:
        pairs = [{"before": vars(before), "now": vars(now)} for before, now in found]
        given.json.write_text(json.dumps({"ratios": ratios, "pairs": pairs}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
