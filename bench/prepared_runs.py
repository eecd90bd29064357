"""Small prepared runs for tests and benchmarks, written with pyarrow in the layout of `ml.preparation`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml.contract import SPLITS

RUN_ID = "20261123T020000Z"
Rows = NDArray[np.integer]  # (n, 2): user index, item index


def leave_last_two_out(pairs: Rows) -> dict[str, Rows]:
    """Leave-last-two-out split: the last row of each user is test, the one before validation."""
    order = np.argsort(pairs[:, 0], kind="stable")
    rows = pairs[order]
    from_end = np.searchsorted(rows[:, 0], rows[:, 0], side="right") - np.arange(len(rows))
    return {"train": rows[from_end > 2], "validation": rows[from_end == 2], "test": rows[from_end == 1]}


def grouped_shop(n_users: int = 120, n_items: int = 80, n_groups: int = 4, seed: int = 0) -> dict[str, Rows]:
    """Splits of users who mostly choose items of their own group: personal rankings exceed popularity."""
    rng = np.random.default_rng(seed)
    pairs = []
    for user in range(n_users):
        own = np.arange(user % n_groups, n_items, n_groups)
        others = np.setdiff1d(np.arange(n_items), own)
        items = np.concatenate([rng.choice(own, 10, replace=False), rng.choice(others, 2, replace=False)])
        pairs += [(user, item) for item in rng.permutation(items)]
    return leave_last_two_out(np.array(pairs))


def write_run(
    folder: Path, splits: Mapping[str, Rows], n_users: int, n_items: int, run_id: str = RUN_ID
) -> Path:
    """Write a complete prepared run; users are named u0, u1, ... and items i0, i1, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "users.parquet": _ids("user", "u", n_users),
        "items.parquet": _ids("item", "i", n_items),
        "popularity.parquet": pa.table(
            {
                "item_index": pa.array(np.arange(n_items), pa.int32()),
                "n_interactions": np.bincount(splits["train"][:, 1].astype(int), minlength=n_items)[:n_items],
            }
        ),
    }
    n_before = 0  # rows of the splits before: each split is newer than those before it
    for split, rows in splits.items():
        tables[f"{split}/part-00000.parquet"] = pa.table(
            {
                "user_index": pa.array(rows[:, 0], pa.int32()),
                "item_index": pa.array(rows[:, 1], pa.int32()),
                "timestamp": pa.array(n_before + np.arange(len(rows)), pa.int64()),
                "weight": pa.array(np.ones(len(rows)), pa.float32()),
            }
        )
        n_before += len(rows)
    files = {}
    for name, table in tables.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path)
        content = path.read_bytes()
        files[name] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "rows": table.num_rows,
        }
    sizes = {split: len(rows) for split, rows in splits.items()}
    kept = sum(sizes.values())
    manifest = {
        "schema_version": 1,
        "run_id": run_id,
        "created_at": "2026-11-23T02:00:00Z",
        "sources": ["events.csv"],
        "counts": {
            "events_read": kept,
            "kept": kept,
            "quarantined": {},
            "duplicates": 0,
            "filtered": 0,
            "users": n_users,
            "items": n_items,
            **sizes,
        },
        "split": {"rule": "leave-last-two-out-in-time"},
        "min_interactions": 5,
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "_SUCCESS").touch()
    return folder


def locate(run: Path) -> Callable[[str], Path]:
    """The folder of each channel of a run, for `ml.ncf.data.prepared_run.read_run`."""
    return lambda channel: run / channel if channel in SPLITS else run


def mount(run: Path, root: Path) -> dict[str, str]:
    """Copy the channels of a run below `root` as SageMaker does; returns the environment variables."""
    channels = {split: [*(run / split).iterdir()] for split in SPLITS}
    channels |= {name: [run / f"{name}.parquet"] for name in ("users", "items", "popularity")}
    channels["manifest"] = [run / "manifest.json"]
    environment = {}
    for channel, files in channels.items():
        folder = root / channel
        folder.mkdir(parents=True)
        for file in files:
            (folder / file.name).write_bytes(file.read_bytes())
        environment[f"SM_CHANNEL_{channel.upper()}"] = str(folder)
    return environment


def _ids(kind: str, letter: str, n: int) -> pa.Table:
    return pa.table(
        {f"{kind}_id": [f"{letter}{i}" for i in range(n)], f"{kind}_index": pa.array(range(n), pa.int32())}
    )
