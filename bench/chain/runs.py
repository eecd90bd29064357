"""Prepared runs of the short chain: tiny, in two versions."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.prepared_runs import grouped_shop, write_run

N_USERS, N_ITEMS = 60, 40
GOOD, WORSE = "good", "worse"  # names of the models that are trained on them
RUN_ID = "RUN_ID"  # in the files: the id of the run
TRAIN_FILE = "train/part-00000.parquet"
SHUFFLE_SEED = 3


def run_files() -> Mapping[str, Mapping[str, bytes]]:
    """Files of both versions, content by name; in `WORSE`, the items of the training pairs are shuffled."""
    splits = grouped_shop(N_USERS, N_ITEMS)
    shuffled = splits["train"].copy()
    shuffled[:, 1] = np.random.default_rng(SHUFFLE_SEED).permutation(shuffled[:, 1])
    found = {}
    for name, train in ((GOOD, splits["train"]), (WORSE, shuffled)):
        with tempfile.TemporaryDirectory() as folder:
            run = write_run(Path(folder) / "run", {**splits, "train": train}, N_USERS, N_ITEMS, RUN_ID)
            files = (path for path in run.rglob("*") if path.is_file())
            found[name] = {path.relative_to(run).as_posix(): path.read_bytes() for path in files}
    return found


def train_sha256(files: Mapping[str, bytes]) -> str:
    """SHA-256 of the training split of a run's files."""
    return hashlib.sha256(files[TRAIN_FILE]).hexdigest()
