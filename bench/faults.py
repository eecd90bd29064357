"""Faults of the event chain: kinds of faults at seeded random moments, with invariants checked after each.

    python bench/faults.py --seeds 50 --json out/faults.json

The dev stage runs on the emulator with tiny data, and with the platform's own functions, builds, jobs and
endpoint (`bench.chain.short_stage`). For each kind, a stage is deployed, and for each seed a run is started,
the fault is injected, what a person would repair is repaired, and the invariants are checked
(`bench.chain.invariants`) while a client uses the API. The exit status is 1 if one did not hold. Baseline:
the kind `none`, without a fault.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.chain.deliveries import at_once
from bench.chain.invariants import Inbox, violations
from bench.chain.kinds import KINDS, Injected
from bench.chain.short_stage import ShortStage, short_stage

out = Console(highlight=False)


def run_kind(name: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Inject one kind of fault, once per seed; returns durations and broken invariants."""
    broken: dict[int, list[str]] = {}
    seconds, n_requests = [], 0
    with short_stage(seeds[0]) as stage:
        inbox = Inbox(stage)
        for seed in seeds:
            began = time.monotonic()
            with stage.clients() as client:
                found = _inject(stage, name, random.Random(seed), client, inbox)  # noqa: S311
            seconds.append(time.monotonic() - began)
            n_requests += client.n_requests
            if found:
                broken[seed] = found
            out.print(f"{name} {seed}: {seconds[-1]:.1f} s" + "".join(f"\n  {line}" for line in found))
    return {
        "seeds": len(seeds),
        "broken": broken,
        "requests": n_requests,
        "median_s": float(np.median(seconds)),
    }


def _inject(stage: ShortStage, name: str, rng: random.Random, client: Any, inbox: Inbox) -> list[str]:
    stage.deliveries.records.clear()
    inbox.receive()
    try:
        injected: Injected = KINDS[name](stage, rng)
    except TimeoutError as error:
        return [str(error)]
    finally:
        stage.deliveries.fault = at_once
        stage.emulator.throttled_share = 0.0
    return violations(stage, injected, client, inbox.receive())


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python bench/faults.py", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("--seeds", type=int, default=50, help="number of seeds per kind (default: 50)")
    parser.add_argument("--first-seed", type=int, default=1, help="the first seed (default: 1)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="default: all")
    parser.add_argument("--json", type=Path, help="file for the result")
    arguments = parser.parse_args(argv)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    results = {}
    for name in arguments.kinds:
        results[name] = run_kind(name, seeds)
        if arguments.json:  # after each kind: an interrupted run keeps its results
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    table = Table("fault", "seeds", "broken", "API requests", "median s", box=None)
    for name, result in results.items():
        table.add_row(
            name.replace("_", " "),
            *(str(value) for value in (result["seeds"], len(result["broken"]), result["requests"])),
            f"{result['median_s']:.1f}",
        )
    out.print(table)
    return 1 if any(result["broken"] for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
