"""The recommenders of other libraries (`make test-peers`), in the environment that has them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bench import peers
from bench.peer_models.registry import PEERS
from bench.prepared_runs import grouped_shop, write_run

ROOT = Path(__file__).resolve().parents[2]
EXTERNAL = [name for name, entry in PEERS.items() if entry.is_external]
N_USERS, N_ITEMS = 120, 120


@pytest.fixture(scope="module")
def python() -> str:
    return os.environ["PEERS_PYTHON"]


def test_loss_of_all_positions_is_that_of_all_prefixes(python: str, tmp_path: Path) -> None:
    command = [python, "-W", "ignore", "tests/bench/recbole_checks.py", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_each_library_is_tuned_trained_and_ranked(python: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / f"run={peers.RUN_ID}", grouped_shop(N_USERS, N_ITEMS), N_USERS, N_ITEMS)
    out = tmp_path / "out.json"
    flags = ["--trials", "1", "--budget", "0.2", "--python", python, "--json", str(out)]
    assert peers.main(["--work", str(tmp_path), "--peers", "popularity", *EXTERNAL, *flags]) == 0
    found = json.loads(out.read_text())
    assert found["left_out"] == {}
    assert set(found["peers"]) == {"popularity", *EXTERNAL}
    for name in EXTERNAL:
        assert found["peers"][name]["tuning"]["trials"] == 1
        assert found["peers"][name]["training"]["cpu_seconds"] > 0
        assert not np.isnan(np.load(tmp_path / name / "final.npy")).any()
    best = max(found["peers"][name]["sampled"]["ndcg_at_10"] for name in EXTERNAL)
    assert best > found["peers"]["popularity"]["sampled"]["ndcg_at_10"]
    assert run.is_dir()
