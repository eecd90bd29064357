"""Invalid input of the command line: exit code and error message."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.processes import finished, started

pytestmark = pytest.mark.e2e


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return finished([sys.executable, "-m", "local", *arguments], folder)


def test_missing_path_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = run(tmp_path, "up", "--data", "nowhere.csv")
    assert done.returncode == 2
    assert done.stderr == "bad input: nowhere.csv: no such file or folder\n"
    assert not (tmp_path / ".local").exists()


def test_interactions_without_a_user_column_end_with_one_line_and_start_no_training(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("item_id,timestamp\n" + "i1,1700000000\n" * 20)
    done = run(tmp_path, "up", "--data", "orders.csv", "--port", "0")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "user" in done.stderr
    assert "orders.csv" in done.stderr
    assert "render buildspec" not in done.stdout
    assert not (tmp_path / "out").exists()


def test_unknown_stage_is_refused_with_the_existing_ones(tmp_path: Path) -> None:
    done = run(tmp_path, "preview", "--stage", "qa")
    assert done.returncode == 2
    assert "dev" in done.stderr
    assert "prod" in done.stderr


def test_recommend_without_a_served_stage_names_the_command_that_serves_one(tmp_path: Path) -> None:
    done = run(tmp_path, "recommend", "u1")
    assert done.returncode == 2
    assert "make up SERVE=1" in done.stderr


def test_port_in_use_is_reported_and_another_one_is_used(tmp_path: Path) -> None:
    log = tmp_path / "stdout.log"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        emulator = [sys.executable, "-m", "local", "cloud", "--port", str(port)]
        with started(emulator, tmp_path, lambda: "listens at" in log.read_text()) as processes:
            processes.root.terminate()
            assert processes.root.wait(30) == 0
    assert f"port {port} is in use" in (tmp_path / "stderr.log").read_text()
    assert "listens at http://127.0.0.1:" in log.read_text()
