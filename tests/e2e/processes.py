"""Run commands with a timeout on their progress, and end all their processes with the test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.polling import eventually

ROOT = Path(__file__).resolve().parents[2]
PROGRESS_TIMEOUT_S = 300  # longest step on a loaded machine
COMMAND_TIMEOUT_S = 1800
EXIT_TIMEOUT_S = 120  # on a loaded machine, the emulator ends its processes in more than 30 s


class ProcessTree:
    """A process and the descendants that `observe` has found, including those whose parent has ended."""

    def __init__(self, root: subprocess.Popen[bytes]) -> None:
        self.root = root
        self._descendants: set[psutil.Process] = set()

    def observe(self) -> None:
        """Add the descendants that run now, found in one pass over the processes of this machine."""
        children = defaultdict(list)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess):
                children[process.ppid()].append(process)
        parents = [process.pid for process in self._descendants if process.is_running()]
        if self.root.poll() is None:
            parents.append(self.root.pid)
        while parents:
            new = set(children[parents.pop()]) - self._descendants
            self._descendants |= new
            parents += [process.pid for process in new]

    def interrupt(self) -> list[psutil.Process]:
        """Send SIGINT to the process, as Ctrl-C does; returns the descendants that are still running."""
        self.observe()
        self.root.send_signal(signal.SIGINT)
        self.root.wait(EXIT_TIMEOUT_S)
        return _wait_for_end(self._descendants)

    def kill(self) -> None:
        """End every process of the tree."""
        self.observe()
        self.root.kill()
        self.root.wait()
        for process in self._descendants:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        _wait_for_end(self._descendants)


def _wait_for_end(processes: set[psutil.Process]) -> list[psutil.Process]:
    """Wait until the processes have ended; returns those that are still running after ``EXIT_TIMEOUT_S``.

    Polls, because `psutil.wait_procs` fails if pidfd_open(2) reports an ended process as a missing file.
    """
    deadline = time.monotonic() + EXIT_TIMEOUT_S
    while running := [process for process in processes if process.is_running() and is_running(process.pid)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return running


def is_running(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


class ProgressLog:
    """File with the standard output of a process; ``check`` fails if it has not grown for ``timeout_s``."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self.path = path
        self.timeout_s = timeout_s
        self._size = 0
        self._grown_at = time.monotonic()

    def check(self) -> None:
        now, size = time.monotonic(), self.path.stat().st_size
        if size > self._size:
            self._size, self._grown_at = size, now
        quiet_s = now - self._grown_at
        assert quiet_s < self.timeout_s, f"no output for {self.timeout_s:g} s:\n{self.path.read_text()}"


@contextmanager
def _running(argv: list[str], folder: Path) -> Iterator[ProcessTree]:
    """A command with its output in ``stdout.log`` and ``stderr.log``; killed after the block."""
    with (folder / "stdout.log").open("wb") as output, (folder / "stderr.log").open("wb") as errors:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(argv, cwd=folder, env=environment, stdout=output, stderr=errors)
    tree = ProcessTree(process)
    try:
        yield tree
    finally:
        tree.kill()


@contextmanager
def started(
    argv: list[str],
    folder: Path,
    is_ready: Callable[[], object],
    *,
    progress_timeout_s: float = PROGRESS_TIMEOUT_S,
) -> Iterator[ProcessTree]:
    """Run a command until it is ready, then the block; afterwards end its processes.

    Raises:
        AssertionError: the command ended, or printed nothing for ``progress_timeout_s``, before it was ready.
    """
    with _running(argv, folder) as tree:
        progress = ProgressLog(folder / "stdout.log", progress_timeout_s)

        def ready() -> bool:
            assert tree.root.poll() is None, (
                f"ended with {tree.root.returncode}:\n{progress.path.read_text()}"
                f"{(folder / 'stderr.log').read_text()}"
            )
            progress.check()
            tree.observe()
            return bool(is_ready())

        eventually(ready, COMMAND_TIMEOUT_S, f"{argv[1:]} is ready")
        yield tree


def finished(argv: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its processes are ended when it makes no progress."""
    with _running(argv, folder) as tree:
        progress = ProgressLog(folder / "stdout.log", PROGRESS_TIMEOUT_S)

        def ended() -> bool:
            progress.check()
            tree.observe()
            return tree.root.poll() is not None

        eventually(ended, COMMAND_TIMEOUT_S, f"{argv[1:]} has ended")
    output, errors = ((folder / f"{name}.log").read_text() for name in ("stdout", "stderr"))
    return subprocess.CompletedProcess(argv, tree.root.returncode, output, errors)
