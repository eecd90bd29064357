"""Benchmark of ranking quality: this project's model beside other recommenders on one prepared run.

    python bench/peers.py --data ../shared/data/ml-100k/u.data --json out.json --markdown out.md

The data are prepared by the preparation job, as `make up` does, and split the same way: the newest item of
each user is the test, the one before it the validation. Options of that job are passed on. Without `--data`,
the synthetic shop of `make up` is used.

Each recommender is tuned on the validation items among 99 others, with random values of a stated space and a
budget of CPU time, then trained once more on train and validation, and ranked once on the test items: among
the 99 items of the evaluation job, and in the whole catalogue of unseen items. `ours` is the training job
with the preset of the stages, not tuned. A training is one process, with `--threads` threads; CPU time and
peak memory are those of the final training, without imports.

Results are kept per recommender below `--work`, and what is there is not done again: run the same command
until it says that the table is complete. A folder has one comparison: other data need another one. The other
recommenders need their own environment: make environment-peers.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from bench.peer_models.comparison import as_markdown, compare
from bench.peer_models.registry import PEERS, PRODUCT
from bench.peer_models.search import JobFailed, RunJob, Search, in_process
from bench.prepared_runs import locate
from ml.contract import RANDOM_SPLIT
from ml.ncf.data.interactions import Interactions
from ml.ncf.data.prepared_run import PreparedRun, read_run
from ml.ncf.jobs.train import training_data
from ml.settings import hyperparameters

ROOT = Path(__file__).resolve().parents[1]
RUN_ID = "20261126T020000Z"
PEERS_PYTHON = ROOT / ".venv-peers/bin/python"
PRODUCT_FLAGS = "--preset neumf-recent"  # as in the stages
MAX_SCORES = 200_000_000  # of one recommender: 0.8 GB


def require_same_comparison(arguments: argparse.Namespace, options: Sequence[str]) -> None:
    """Refuse a folder whose kept results are of other data, settings or seed; a new one records its own."""
    data: Path | None = arguments.data
    given = {
        "--data": None if data is None else str(data.resolve()),
        "--ours": arguments.ours,
        "--seed": arguments.seed,
        "options of the preparation": list(options),
    }
    path = arguments.work / "comparison.json"
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        for name, value in given.items():
            if kept[name] != value:
                raise SystemExit(
                    f"{arguments.work}: its results are of {name} {kept[name]}, and not of {value}: give "
                    "another --work, or delete the folder"
                )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(given, indent=2), encoding="utf-8")


def prepared(data: Path | None, work: Path, options: Sequence[str]) -> Path:
    """The folder of the prepared run; prepares it if it is not there."""
    run = work / f"run={RUN_ID}"
    if (run / "_SUCCESS").is_file():
        return run
    work.mkdir(parents=True, exist_ok=True)
    if data is None:
        data = work / "shop.csv"
        subprocess.run([sys.executable, "-m", "ml.synthetic", "--output", str(data)], cwd=ROOT, check=True)
    command = [sys.executable, "-m", "ml.preparation", "--input", str(data.resolve())]
    command += ["--output", str(work.resolve()), "--run-id", RUN_ID, *options]
    with (work / "preparation.log").open("w") as log:
        status = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, check=False).returncode
    if status:
        raise SystemExit(f"{data}: the preparation failed with exit status {status}: {work}/preparation.log")
    return run


def in_order(pairs: Interactions) -> dict[str, np.ndarray]:
    """Users and items of the pairs, those of a user from the oldest to the newest."""
    times = np.zeros(len(pairs), dtype=np.int64) if pairs.times is None else pairs.times
    order = np.lexsort((pairs.indices, times, pairs.users))
    return {
        "users": pairs.users[order].astype(np.int64),
        "items": pairs.indices[order].astype(np.int64),
        "n_users": np.array(pairs.n_users),
        "n_items": np.array(pairs.n_items),
    }


def write_rows(run: PreparedRun, work: Path, flags: Sequence[str]) -> tuple[Path, Path]:
    """Write the rows of the search and those of the final training; neither has a test row."""
    tuning, final = work / "train.npz", work / "train-and-validation.npz"
    data = training_data(run, hyperparameters.parse(flags))
    pairs = data.validation
    n_negatives = torch.full_like(pairs.users, pairs.items.shape[1] - 1)
    ranked = {
        "ranked_users": pairs.users.numpy(),
        "ranked_items": pairs.items.numpy().astype(np.int64),
        # The first users of a catalogue have fewer: only items that exist are negatives.
        "n_negatives": (n_negatives if pairs.n_negatives is None else pairs.n_negatives).numpy(),
    }
    np.savez(tuning, **in_order(data.train), **ranked)
    np.savez(final, **in_order(data.all_pairs))
    return tuning, final


def unavailable(name: str, run: PreparedRun, interpreter: Path) -> str | None:
    """Reason why a recommender cannot be trained on a run; None if it can."""
    entry = PEERS[name]
    if entry.needs_order and run.split_rule == RANDOM_SPLIT:
        return "needs the order of the events, which have no time"
    if entry.is_external and not interpreter.is_file():
        return f"{interpreter} does not exist: make environment-peers"
    return None


def run_all(arguments: argparse.Namespace, options: Sequence[str], run_job: RunJob | None = None) -> bool:
    """Train what is missing, and write the table; returns whether it is complete.

    Args:
        arguments: arguments of the command line.
        options: options of the preparation job.
        run_job: runs the jobs of this environment; None: in a process each.
    """
    work: Path = arguments.work
    require_same_comparison(arguments, options)
    folder = prepared(arguments.data, work, options)
    run = read_run(locate(folder))
    if run.n_users * run.n_items > MAX_SCORES:
        raise SystemExit(
            f"{run.n_users} users and {run.n_items} items: at most {MAX_SCORES} pairs are scored"
        )
    flags = shlex.split(arguments.ours)
    tuning_rows, final_rows = write_rows(run, work, flags)
    end = time.monotonic() + 60 * arguments.minutes
    searches: dict[str, Search] = {}
    reasons: dict[str, str] = {}
    is_complete = True
    for name in arguments.peers:
        if reason := unavailable(name, run, arguments.python):
            reasons[name] = reason
            continue
        external = in_process(arguments.python, arguments.threads)
        own = run_job or in_process(Path(sys.executable), arguments.threads)
        searches[name] = Search(
            peer=name,
            folder=work / name,
            tuning_rows=tuning_rows,
            final_rows=final_rows,
            fixed={"run": str(folder.resolve()), "flags": flags} if name == PRODUCT else {},
            budget_s=60 * arguments.budget,
            max_trials=arguments.trials,
            seed=arguments.seed,
            run_job=external if PEERS[name].is_external else own,
        )
        try:
            is_complete &= searches[name].run(lambda: time.monotonic() < end)
        except JobFailed as error:
            reasons[name] = str(error)
    finished = {name: each for name, each in searches.items() if name not in reasons and each.final()}
    result = compare(run, finished, reasons) | {
        "data": arguments.data.name if arguments.data else "synthetic shop",
        "budget_cpu_minutes": arguments.budget,
        "threads": arguments.threads,
        "seed": arguments.seed,
    }
    write(result, arguments)
    return is_complete


def write(result: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Print the table, and write it to the files that were given."""
    table = as_markdown(result)
    print(table)
    for path, text in ((arguments.json, json.dumps(result, indent=2)), (arguments.markdown, table)):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text.rstrip()}\n", encoding="utf-8")


def parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """Arguments, and those that the preparation job gets."""
    parser = argparse.ArgumentParser(
        prog="python bench/peers.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--data", type=Path, help="interactions with user, item and time, as for make up")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), help="default: all")
    parser.add_argument("--budget", type=float, default=10.0, help="CPU minutes of each search (default 10)")
    parser.add_argument("--trials", type=int, default=40, help="limit of the trials of each (default 40)")
    parser.add_argument(
        "--minutes", type=float, default=1e9, help="start no training after this time; then run it again"
    )
    parser.add_argument("--threads", type=int, default=1, help="of each training (default 1)")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--work", type=Path, default=ROOT / "build/peers", help="folder of the results")
    parser.add_argument("--python", type=Path, default=PEERS_PYTHON, help="interpreter of the others")
    parser.add_argument(
        "--ours", default=PRODUCT_FLAGS, help=f"flags of the training job (default {PRODUCT_FLAGS!r})"
    )
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--markdown", type=Path, help="file for the table")
    return parser.parse_known_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    arguments, options = parse(argv)
    is_complete = run_all(arguments, options)
    print("the table is complete" if is_complete else "time is over: run the same command again to go on")
    return 0


if __name__ == "__main__":
    sys.exit(main())
