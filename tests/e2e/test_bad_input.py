"""What the command line answers to input that it cannot use."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.platform import environment

pytestmark = pytest.mark.e2e


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_path_that_is_not_there_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = run(tmp_path, "up", "--data", "nowhere.csv")
    assert done.returncode == 2
    assert done.stderr == "bad input: nowhere.csv: no such file or folder\n"
    assert not (tmp_path / ".local").exists()


def test_interactions_without_a_user_column_end_with_one_line_and_trigger_nothing(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("item_id,timestamp\n" + "i1,1700000000\n" * 20)
    done = run(tmp_path, "up", "--data", "orders.csv", "--port", "0")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "user" in done.stderr
    assert "orders.csv" in done.stderr
    assert "render buildspec" not in done.stdout
    assert not (tmp_path / "out").exists()


def test_an_unknown_stage_lists_the_stages_there_are(tmp_path: Path) -> None:
    done = run(tmp_path, "preview", "--stage", "qa")
    assert done.returncode == 2
    assert "dev" in done.stderr
    assert "prod" in done.stderr


def test_recommending_without_a_served_stage_says_how_to_get_one(tmp_path: Path) -> None:
    done = run(tmp_path, "recommend", "u1")
    assert done.returncode == 2
    assert "make up SERVE=1" in done.stderr


def test_a_port_in_use_is_told_and_another_one_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "local", "cloud", "--port", str(port)],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert process.stdout is not None
            first, second = process.stdout.readline(), process.stdout.readline()
        finally:
            process.terminate()
            process.wait(30)
    assert f"port {port} is in use" in first
    assert "listens at http://127.0.0.1:" in second
    assert process.returncode == 0
