"""Benchmark of scale: seconds and peak memory of one epoch on a large catalogue, by number of interactions.

    python bench/scale.py --users 1000000 --items 200000 --interactions 20000000 --json out.json

Synthetic interactions with log-normal activity and Zipf popularity. The first measurement uses a quarter of
the users and of the interactions, and the same items: if the time of an epoch is linear in the interactions,
the second takes four times as long. Each runs in a separate process, validation included. Flags of the
training job are passed on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from bench.accuracy import without_validation
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.jobs.train import VALIDATION_LIMIT
from ml.ncf.model.base import RankingModel
from ml.ncf.training.loop import Epoch, peak_memory_mib
from ml.ncf.training.plan import training_plan
from ml.ncf.training.runner import run_plan
from ml.ncf.training.training_data import TrainingData
from ml.settings import hyperparameters

DEFAULT_PRESET = "gmf"
ACTIVITY_SIGMA = 0.8
ITEM_SKEW = 0.8  # exponent of Zipf's law
FRACTION = 4  # the first measurement has 1 / FRACTION of the users and interactions


def pairs(n_users: int, n_items: int, n_interactions: int, seed: int) -> np.ndarray:
    """Distinct user-item pairs (n, 2): at most n_interactions, since repeated draws of a user are merged."""
    rng = np.random.default_rng(seed)
    share = rng.lognormal(sigma=ACTIVITY_SIGMA, size=n_users)
    bounds = np.cumsum(share) / share.sum() * n_interactions
    users = np.repeat(np.arange(n_users), np.diff(np.floor(bounds).astype(np.int64), prepend=0))
    cumulative = np.cumsum(np.arange(1, n_items + 1) ** -ITEM_SKEW)
    items = np.searchsorted(cumulative, rng.random(len(users)) * cumulative[-1])
    keys = np.unique(users * n_items + rng.permutation(n_items)[items])
    return np.stack([keys // n_items, keys % n_items], axis=1)


def one_epoch(sizes: tuple[int, int, int], flags: list[str]) -> dict[str, Any]:
    """Train for one epoch in this process."""
    once = ["--epochs", "1", "--pointwise-epochs", "1", "--refit", "false"]
    settings = hyperparameters.parse(["--preset", DEFAULT_PRESET, *flags, *once])
    _, train, held_out = without_validation(pairs(*sizes, seed=settings.seed), np.random.default_rng(1))
    validation = EvaluationSet.sampled(
        held_out, train.union(held_out), 99, np.random.default_rng(2), limit=VALIDATION_LIMIT
    )
    spent: list[float] = []
    began = time.perf_counter()

    def after(epoch: Epoch, _: RankingModel) -> None:
        spent.append(epoch.seconds)
        print(f"  {epoch.phase}: loss {epoch.loss:.4f}, {epoch.seconds:.1f} s", flush=True)

    data = TrainingData(train=train, held_out=held_out, validation=validation)
    run_plan(training_plan(settings), data, on_epoch=after)
    return {
        "users": train.n_users,
        "items": train.n_items,
        "interactions": len(train),
        "epoch_seconds": sum(spent),
        "seconds": time.perf_counter() - began,
        "peak_memory_mib": peak_memory_mib(),
        "threads": torch.get_num_threads(),
    }


def child(sizes: tuple[int, int, int], flags: list[str]) -> dict[str, Any]:
    """Measure in a child process, so that the peak memory is measured separately for each size."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        names = ("--users", "--items", "--interactions")
        size_flags = [text for name, size in zip(names, sizes, strict=True) for text in (name, str(size))]
        command = [sys.executable, __file__, *size_flags, "--single", "--json", str(out), *flags]
        if subprocess.run(command, check=False).returncode:
            raise SystemExit(f"the epoch over {sizes[2]} interactions failed")
        found: dict[str, Any] = json.loads(out.read_text())
        return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python bench/scale.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--interactions", type=int, default=20_000_000)
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--single", action="store_true", help=argparse.SUPPRESS)  # in the child process
    given, flags = parser.parse_known_args(argv)
    whole = (given.users, given.items, given.interactions)
    if given.single:
        given.json.write_text(json.dumps(one_epoch(whole, flags)))
        return 0
    part = (given.users // FRACTION, given.items, given.interactions // FRACTION)
    measured = [child(sizes, flags) for sizes in (part, whole)]
    small, large = measured
    growth = {
        "interactions": large["interactions"] / small["interactions"],
        "epoch_seconds": large["epoch_seconds"] / small["epoch_seconds"],
    }
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps({"sizes": measured, "growth": growth}, indent=2) + "\n")
    for each in measured:
        print(
            f"{each['users']} users, {each['items']} items, {each['interactions']} interactions: "
            f"{each['epoch_seconds']:.1f} s per epoch, peak {each['peak_memory_mib']:.0f} MiB"
        )
    print(
        f"growth: {growth['interactions']:.2f} x the interactions, {growth['epoch_seconds']:.2f} x the time"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
