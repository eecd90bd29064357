"""Prepared runs as they are read: a run of events without times has no order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.prepared_runs import grouped_shop, locate, write_run
from ml.contract import MANIFEST_FILE, RANDOM_SPLIT
from ml.ncf.data.prepared_run import read_run
from ml.ncf.training.plan import training_plan
from ml.ncf.training.recent_phase import RecentPhase
from ml.settings import hyperparameters

N_USERS, N_ITEMS = 20, 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", grouped_shop(N_USERS, N_ITEMS), N_USERS, N_ITEMS)


def test_run_of_events_without_times_has_no_times_and_no_mlp_over_recent_items(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["split"]["rule"] = RANDOM_SPLIT
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    run = read_run(locate(folder))
    assert all(pairs.times is None and pairs.recency is None for pairs in run.splits.values())
    plan = training_plan(hyperparameters.parse(["--preset", "neumf-recent"]))
    assert RecentPhase.of_plan(plan, run.splits["train"]) is None


def test_run_of_events_with_times_has_them(folder: Path) -> None:
    run = read_run(locate(folder))
    assert all(pairs.times is not None for pairs in run.splits.values())
    plan = training_plan(hyperparameters.parse(["--preset", "neumf-recent"]))
    assert RecentPhase.of_plan(plan, run.splits["train"]) is not None
