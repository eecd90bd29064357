"""The processes of a command end with the test, even if the command never becomes ready."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.processes import finished, is_running, started

# Start a child that runs for ten minutes and write its process id; the test appends the rest.
WITH_CHILD = "sleep 600 & echo $! > child; echo child started; sleep 1; "


def command(then: str) -> list[str]:
    return ["sh", "-c", WITH_CHILD + then]


def child_of(folder: Path) -> int:
    return int((folder / "child").read_text())


def test_process_tree_is_ended_when_a_command_makes_no_progress(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match=r"no output for 3 s:\nchild started"),
        started(command("sleep 600"), tmp_path, lambda: False, progress_timeout_s=3),
    ):
        pass
    assert not is_running(child_of(tmp_path))


def test_child_is_ended_when_its_parent_failed(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match=r"ended with 3:\nchild started"),
        started(command("exit 3"), tmp_path, lambda: False),
    ):
        pass
    assert not is_running(child_of(tmp_path))


def test_progress_extends_the_wait(tmp_path: Path) -> None:
    loop = "for n in 1 2 3 4; do echo $n; sleep 1; done; touch ready; sleep 600"
    with started(command(loop), tmp_path, (tmp_path / "ready").exists, progress_timeout_s=4) as processes:
        assert processes.root.poll() is None
    assert processes.root.returncode is not None
    assert not is_running(child_of(tmp_path))


def test_process_tree_is_ended_when_the_block_raises(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="in the block"),
        started(command("sleep 600"), tmp_path, (tmp_path / "child").exists),
    ):
        raise ValueError("in the block")
    assert not is_running(child_of(tmp_path))


def test_finished_command_returns_its_output_and_ends_its_children(tmp_path: Path) -> None:
    done = finished(command("echo no >&2; exit 3"), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (3, "child started\n", "no\n")
    assert not is_running(child_of(tmp_path))
