"""The processes of a command end with the test, even if the command never becomes ready."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.processes import finished, started

# Starts a child that would run for ten minutes and writes its process id, then does what the test adds.
WITH_CHILD = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path("child").write_text(str(child.pid))
print("child started", flush=True)
time.sleep(1)
"""


def command(then: str) -> list[str]:
    return [sys.executable, "-c", WITH_CHILD + then]


def child_of(folder: Path) -> int:
    return int((folder / "child").read_text())


def test_process_tree_is_ended_when_a_command_makes_no_progress(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match=r"no output for 2 s:\nchild started"),
        started(command("time.sleep(600)"), tmp_path, lambda: False, progress_timeout_s=2),
    ):
        pass
    assert not psutil.pid_exists(child_of(tmp_path))


def test_child_is_ended_when_its_parent_failed(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match=r"ended with 3:\nchild started"),
        started(command("sys.exit(3)"), tmp_path, lambda: False),
    ):
        pass
    assert not psutil.pid_exists(child_of(tmp_path))


def test_progress_extends_the_wait(tmp_path: Path) -> None:
    loop = "for n in range(4): print(n, flush=True); time.sleep(1)\n"
    loop += "pathlib.Path('ready').touch(); time.sleep(600)"
    with started(command(loop), tmp_path, (tmp_path / "ready").exists, progress_timeout_s=3) as processes:
        assert processes.root.poll() is None
    assert processes.root.returncode is not None
    assert not psutil.pid_exists(child_of(tmp_path))


def test_process_tree_is_ended_when_the_block_raises(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="in the block"),
        started(command("time.sleep(600)"), tmp_path, (tmp_path / "child").exists),
    ):
        raise ValueError("in the block")
    assert not psutil.pid_exists(child_of(tmp_path))


def test_finished_command_returns_its_output_and_ends_its_children(tmp_path: Path) -> None:
    done = finished(command("print('no', file=sys.stderr); sys.exit(3)"), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (3, "child started\n", "no\n")
    assert not psutil.pid_exists(child_of(tmp_path))
