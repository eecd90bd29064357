"""Child processes that never outlive the emulator.

Every child leads its own session, so that one signal reaches all that it starts. A normal end goes through
`Processes.close`. For an end that runs no code (SIGKILL, a crash) a small *guard* process holds the other end
of a pipe: when the pipe closes, it kills whatever is still registered. PR_SET_PDEATHSIG would not do: it
fires when the *thread* that forked ends, and grandchildren don't inherit it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal

import psutil

from emulator import guard

EndedBy = Literal["timeout", "memory", "stop"]
WATCH_INTERVAL_S = 0.1  # how often limits are looked at
GRACE_S = 3.0  # between SIGTERM and SIGKILL
MAX_LINE_BYTES = 256 * 1024  # CloudWatch Logs: the largest event


class ProcessLimitError(Exception):
    """A child was killed at its limit; the message says which."""


class ProcessTimeoutError(ProcessLimitError):
    """A child ran for longer than it may."""


class ProcessMemoryError(ProcessLimitError):
    """A child and its descendants held more memory than they may."""


class Child:
    """A running command. Its output goes, line by line, to the callbacks, each on a thread of its own."""

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        on_line: Callable[[str], None],
        on_error_line: Callable[[str], None] | None,
        *,
        timeout_s: float | None,
        memory_mib: int | None,
    ) -> None:
        self.pid = popen.pid
        self.timeout_s = timeout_s
        self.memory_mib = memory_mib
        self.peak_memory_mib = 0.0
        self.ended_by: EndedBy | None = None
        self._popen = popen
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._readers = [
            threading.Thread(target=_read_lines, args=pair, name=f"lines-{popen.pid}", daemon=True)
            for pair in ((popen.stdout, on_line), (popen.stderr, on_error_line))
            if pair[0] is not None
        ]
        for reader in self._readers:
            reader.start()

    @property
    def running(self) -> bool:
        """Whether the command itself has not ended yet."""
        return self._popen.poll() is None

    def wait(self, timeout_s: float | None = None) -> int:
        """The exit status (negative: the signal), once the command has ended and its output is read.

        Raises:
            subprocess.TimeoutExpired: it still runs after ``timeout_s``; nothing is killed.
        """
        status = self._popen.wait(timeout_s)
        guard.kill_tree(self.pid, signal.SIGKILL)  # what it left behind would hold the pipe open
        for reader in self._readers:
            reader.join(GRACE_S)
        return status

    def stop(self, grace_s: float = GRACE_S, *, because: EndedBy = "stop") -> None:
        """Ends the command and its descendants: SIGTERM, then SIGKILL after ``grace_s``."""
        if self.running:
            self.ended_by = self.ended_by or because
            guard.kill_tree(self.pid, signal.SIGTERM if grace_s > 0 else signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace_s)
        guard.kill_tree(self.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(GRACE_S)

    def check_limits(self) -> None:
        """Kills the child when it is over a limit, as the kernel or the service would."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            self.stop(0, because="timeout")
        if self.memory_mib is not None and self.measure() > self.memory_mib:
            self.stop(0, because="memory")

    def measure(self) -> float:
        """The memory that the command and its descendants hold now, in MiB (resident)."""
        held = _tree_memory_mib(self.pid)
        self.peak_memory_mib = max(self.peak_memory_mib, held)
        return held


class Processes:
    """The children of one emulator."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: dict[int, Child] = {}
        self._guard: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._closed = threading.Event()

    def start(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_line: Callable[[str], None],
        on_error_line: Callable[[str], None] | None = None,
        timeout_s: float | None = None,
        memory_mib: int | None = None,
        pass_fds: Sequence[int] = (),
    ) -> Child:
        """Starts a command with exactly the environment ``env``.

        Args:
            on_line: takes each line of standard output, and of standard error unless ``on_error_line`` does.
            timeout_s, memory_mib: limits; over one, the child is killed and its `Child.ended_by` says so.

        Raises:
            OSError: the command can't be started.
            RuntimeError: the emulator is closing.
        """
        with self._lock:
            if self._closed.is_set():
                raise RuntimeError("the emulator is closing")
            keeper = self._start_guard()
            popen = subprocess.Popen(
                list(argv),
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if on_error_line is None else subprocess.PIPE,
                start_new_session=True,
                pass_fds=pass_fds,
            )
            _tell(keeper, f"+{popen.pid}")
            child = Child(popen, on_line, on_error_line, timeout_s=timeout_s, memory_mib=memory_mib)
            self._children[child.pid] = child
        threading.Thread(target=self._forget_at_end, args=(child,), daemon=True).start()
        self._start_watcher()
        return child

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_line: Callable[[str], None],
        timeout_s: float | None = None,
        memory_mib: int | None = None,
    ) -> int:
        """Runs a command to its end; returns the exit status, negative for a signal.

        Raises:
            ProcessTimeoutError, ProcessMemoryError: it was killed at a limit.
            OSError: the command can't be started.
        """
        child = self.start(
            argv, cwd=cwd, env=env, on_line=on_line, timeout_s=timeout_s, memory_mib=memory_mib
        )
        status = child.wait()
        if child.ended_by == "timeout":
            raise ProcessTimeoutError(f"{argv[0]} ran for longer than {timeout_s:g} s")
        if child.ended_by == "memory":
            raise ProcessMemoryError(f"{argv[0]} used more than {memory_mib} MiB of memory")
        return status

    @property
    def pids(self) -> frozenset[int]:
        """Process ids of the children that have not ended."""
        with self._lock:
            return frozenset(self._children)

    def close(self) -> None:
        """Ends every child and all that the children started."""
        self._closed.set()
        with self._lock:
            children, self._children = list(self._children.values()), {}
            keeper, self._guard = self._guard, None
        for child in children:
            child.ended_by = child.ended_by or "stop"
            guard.kill_tree(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        for child in children:
            child.stop(max(0.0, deadline - time.monotonic()))
        if keeper is not None:
            with contextlib.suppress(OSError):
                keeper.communicate(timeout=GRACE_S)  # closes the pipe; the guard ends by itself

    def _start_guard(self) -> subprocess.Popen[bytes]:
        if self._guard is None or self._guard.poll() is not None:
            self._guard = subprocess.Popen(
                [sys.executable, "-P", guard.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C must not reach it
            )
            for pid in self._children:
                _tell(self._guard, f"+{pid}")
        return self._guard

    def _forget_at_end(self, child: Child) -> None:
        child.wait()
        with self._lock:
            self._children.pop(child.pid, None)
            if self._guard is not None:
                _tell(self._guard, f"-{child.pid}")

    def _start_watcher(self) -> None:
        with self._lock:
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="limits", daemon=True)
                self._watcher.start()

    def _watch(self) -> None:
        while not self._closed.wait(WATCH_INTERVAL_S):
            with self._lock:
                limited = list(self._children.values())
            for child in limited:
                child.check_limits()


def _read_lines(stream: IO[bytes], on_line: Callable[[str], None]) -> None:
    with stream:
        while raw := stream.readline(MAX_LINE_BYTES):
            on_line(raw.decode(errors="replace").rstrip("\r\n"))


def _tell(keeper: subprocess.Popen[bytes], message: str) -> None:
    if keeper.stdin is not None:
        with contextlib.suppress(OSError):  # a guard that was killed is replaced by the next start
            os.write(keeper.stdin.fileno(), f"{message}\n".encode())


def _tree_memory_mib(pid: int) -> float:
    total = 0
    for process in guard.tree(pid):
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total / 2**20
