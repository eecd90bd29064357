"""Faults of the event chain: kinds of faults at seeded random moments, with invariants checked after each.

    python bench/faults.py --seeds 50

The dev stage runs on the emulator with the platform's own functions, events, queues, build, pipeline,
registry, rollout and API. The long steps are recorded once, with tiny data, and then replayed by processes
that write the recorded outputs over the recorded time (`bench.chain`, ADR 35); `--real-steps` runs them.
Each of `--jobs` processes deploys a stage and injects one fault after the other; after each, a person's
repair follows, and the invariants are checked while a client uses the API. An interrupted command goes on
where it was. Exit status: 1 if an invariant did not hold, 3 if `--minutes` ended the command before the last
injection.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import queue
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from bench.chain.batch import BASELINE, Injection, Result, run_batch
from bench.chain.kinds import KINDS
from bench.chain.results import (
    REAL_STEPS,
    RECORDED,
    RECORDED_STEPS,
    OtherCodeError,
    ResultFile,
    code_digest,
    markdown,
    summary,
)
from bench.chain.short_stage import ROOT, record

SCALE = 0.1
BROKEN, UNFINISHED = 1, 3
out = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Options:
    """Options of the batches."""

    jobs: int
    recording: bytes | None
    scale: float
    deadline: float  # of time.monotonic


def recording_of(folder: Path) -> bytes:
    """The recording of this code; recorded now, if it is missing."""
    path = folder / f"recording-{code_digest(ROOT, RECORDED)}.zip"
    if not path.exists():
        out.print("recording the steps of three real runs")
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record(seed=0))
    return path.read_bytes()


def run(todo: Sequence[Injection], results: ResultFile, options: Options) -> None:
    """Run the injections in parallel batches, and append their results.

    Raises:
        SystemExit: a batch ended with an error.
    """
    context = multiprocessing.get_context("spawn")
    waiting, done = context.Queue(), context.Queue()
    for injection in todo:
        waiting.put(injection)
    batches = [
        context.Process(target=run_batch, args=(number, waiting, done, options.recording, options.scale))
        for number in range(1, options.jobs + 1)
    ]
    for batch in batches:
        batch.start()
    try:
        _collect(len(todo), results, done, batches, options)
    finally:
        while not waiting.empty():  # after the deadline, or an error: the batches end after their injections
            try:
                waiting.get(timeout=0.1)
            except queue.Empty:
                break
        for batch in batches:
            batch.join()
        while not done.empty():
            _add(results, done.get())


def _collect(
    n_todo: int,
    results: ResultFile,
    done: multiprocessing.Queue[Result | str],
    batches: Sequence[BaseProcess],
    options: Options,
) -> None:
    start, n_done, n_broken = time.monotonic(), 0, 0
    while n_done < n_todo and time.monotonic() < options.deadline:
        try:
            found = done.get(timeout=1.0)
        except queue.Empty:
            if not any(batch.is_alive() for batch in batches):
                return
            continue
        result = _add(results, found)
        n_done += result.kind != BASELINE
        n_broken += bool(result.broken)
        left_min = (time.monotonic() - start) / max(n_done, 1) * (n_todo - n_done) / 60
        out.print(
            f"{n_done}/{n_todo}, {n_broken} broken, about {left_min:.0f} min left: "
            f"{result.kind} {result.seed}, {result.seconds:.1f} s, {result.detail}"
        )
        for line in result.broken:
            out.print(f"  {line}", style="bold")
        if result.broken:
            out.print(f"  again: {command(result)}")


def _add(results: ResultFile, result: Result | str) -> Result:
    if isinstance(result, str):
        raise SystemExit(result)
    results.add(result)
    return result


def command(result: Result) -> str:
    """The command that repeats an injection."""
    chosen = f"--kinds {result.kind} --first-seed {result.seed} --seeds 1"
    return f"python bench/faults.py {chosen} --jobs 1 --output out/faults-again --fresh"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python bench/faults.py", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("--seeds", type=int, default=50, help="number of seeds per kind (default: 50)")
    parser.add_argument("--first-seed", type=int, default=1, help="the first seed (default: 1)")
    kinds = [kind for kind in KINDS if kind != BASELINE]
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=kinds, help="default: all")
    parser.add_argument("--jobs", type=int, default=2, help="batches at a time (default: 2)")
    parser.add_argument("--real-steps", action="store_true", help="train and evaluate really")
    parser.add_argument(
        "--scale", type=float, default=SCALE, help=f"of the recorded times (default: {SCALE})"
    )
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no injection after these")
    parser.add_argument("--output", type=Path, default=ROOT / "out" / "faults", help="folder of the results")
    parser.add_argument("--fresh", action="store_true", help="discard earlier results")
    arguments = parser.parse_args(argv)
    deadline = time.monotonic() + 60 * arguments.minutes
    digest = code_digest(ROOT, REAL_STEPS if arguments.real_steps else RECORDED_STEPS)
    path = arguments.output / "results.jsonl"
    if arguments.fresh:
        path.unlink(missing_ok=True)
    recording = None if arguments.real_steps else recording_of(ROOT / "out" / "recordings")
    try:
        results = ResultFile(path, {"code": digest, "steps": "real" if recording is None else "recorded"})
    except OtherCodeError as error:
        parser.error(str(error))
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    # Seed by seed: an interrupted command has results of all kinds.
    todo = results.missing(Injection(kind, seed) for seed in seeds for kind in arguments.kinds)
    if todo:
        run(todo, results, Options(arguments.jobs, recording, arguments.scale, deadline))
    return _report(arguments.output, results, len(results.missing(todo)))


def _report(folder: Path, results: ResultFile, n_missing: int) -> int:
    """Write and print the table; returns the exit status."""
    rows = list(summary(results.results))
    (folder / "results.md").write_text(markdown(results.results), encoding="utf-8")
    (folder / "results.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    table = Table(*(rows[0] if rows else ()), box=None)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    out.print(table)
    broken = [result for result in results.results if result.broken]
    out.print(f"{len(results.results)} injections, {len(broken)} with a broken invariant")
    for result in broken:
        out.print(f"{result.kind} {result.seed}: {'; '.join(result.broken)}\n  again: {command(result)}")
    if broken:
        return BROKEN
    if n_missing:
        out.print(f"{n_missing} injections are left: run the command again")
        return UNFINISHED
    return 0


if __name__ == "__main__":
    sys.exit(main())
