"""Child processes that end with the emulator.

Every child is a session leader, so that one signal reaches its descendants. `Processes.close` ends them. If
this process is killed (SIGKILL, a crash), the *guard* process, which holds the other end of a pipe, kills all
registered children when the pipe closes. PR_SET_PDEATHSIG is no substitute: it is sent when the thread that
forked ends, and grandchildren do not inherit it.
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

from emulator import guard
from emulator.process_tree import memory_mib

EndedBy = Literal["timeout", "memory", "stop"]
WATCH_INTERVAL_S = 0.1  # between checks of time and memory limits
GRACE_S = 3.0  # between SIGTERM and SIGKILL
MAX_LINE_BYTES = 256 * 1024  # CloudWatch Logs quotas, event size


class Child:
    """A running command; one thread per output stream calls the callback with each line."""

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
        """Whether the command has not ended."""
        return self._popen.poll() is None

    def wait(self, timeout_s: float | None = None) -> int:
        """Exit status (negative: the signal), after the command has ended and its output has been read.

        Raises:
            subprocess.TimeoutExpired: the command still runs after ``timeout_s``; nothing is killed.
        """
        status = self._popen.wait(timeout_s)
        guard.kill_tree(self.pid, signal.SIGKILL)  # descendants would keep the pipe open
        for reader in self._readers:
            reader.join(GRACE_S)
        return status

    def stop(self, grace_s: float = GRACE_S, *, because: EndedBy = "stop") -> None:
        """End the command and its descendants: SIGTERM, then SIGKILL after ``grace_s``."""
        if self.running:
            self.ended_by = self.ended_by or because
            guard.kill_tree(self.pid, signal.SIGTERM if grace_s > 0 else signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace_s)
        guard.kill_tree(self.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(GRACE_S)

    def check_limits(self) -> None:
        """Kill the child if it exceeds a limit."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            self.stop(0, because="timeout")
        if self.memory_mib is not None:
            held_mib = memory_mib(self.pid)
            self.peak_memory_mib = max(self.peak_memory_mib, held_mib)
            if held_mib > self.memory_mib:
                self.stop(0, because="memory")

    def measure(self) -> None:
        """Update `peak_memory_mib`, the most resident memory of the command and its descendants so far."""
        self.peak_memory_mib = max(self.peak_memory_mib, memory_mib(self.pid))


class Processes:
    """Child processes of one emulator."""

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
        """Start a command with exactly the environment ``env``.

        Args:
            on_line: called per line of standard output, and of standard error without ``on_error_line``.
            timeout_s, memory_mib: limits; a child that exceeds one is killed, see `Child.ended_by`.

        Raises:
            OSError: the command cannot be started.
            RuntimeError: the emulator is closing.
        """
        with self._lock:
            if self._closed.is_set():
                raise RuntimeError("the emulator is closing")
            guard_process = self._start_guard()
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
            _send(guard_process, f"+{popen.pid}")
            child = Child(popen, on_line, on_error_line, timeout_s=timeout_s, memory_mib=memory_mib)
            self._children[child.pid] = child
        threading.Thread(target=self._remove_at_end, args=(child,), daemon=True).start()
        self._start_watcher()
        return child

    @property
    def pids(self) -> frozenset[int]:
        """Process ids of the children that have not ended."""
        with self._lock:
            return frozenset(self._children)

    def close(self) -> None:
        """End every child and its descendants."""
        self._closed.set()
        with self._lock:
            children, self._children = list(self._children.values()), {}
            guard_process, self._guard = self._guard, None
        for child in children:
            child.ended_by = child.ended_by or "stop"
            guard.kill_tree(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        for child in children:
            child.stop(max(0.0, deadline - time.monotonic()))
        if guard_process is not None:
            with contextlib.suppress(OSError):
                guard_process.communicate(timeout=GRACE_S)  # closes the pipe, which ends the guard

    def _start_guard(self) -> subprocess.Popen[bytes]:
        if self._guard is None or self._guard.poll() is not None:
            self._guard = subprocess.Popen(
                [sys.executable, "-P", guard.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # not reached by Ctrl-C
            )
            for pid in self._children:
                _send(self._guard, f"+{pid}")
        return self._guard

    def _remove_at_end(self, child: Child) -> None:
        child.wait()
        with self._lock:
            self._children.pop(child.pid, None)
            if self._guard is not None:
                _send(self._guard, f"-{child.pid}")

    def _start_watcher(self) -> None:
        with self._lock:
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="limits", daemon=True)
                self._watcher.start()

    def _watch(self) -> None:
        while not self._closed.wait(WATCH_INTERVAL_S):
            with self._lock:
                children = list(self._children.values())
            for child in children:
                child.check_limits()


def _read_lines(stream: IO[bytes], on_line: Callable[[str], None]) -> None:
    with stream:
        while raw := stream.readline(MAX_LINE_BYTES):
            on_line(raw.decode(errors="replace").rstrip("\r\n"))


def _send(guard_process: subprocess.Popen[bytes], message: str) -> None:
    if guard_process.stdin is not None:
        with contextlib.suppress(OSError):  # the next start replaces a guard that was killed
            os.write(guard_process.stdin.fileno(), f"{message}\n".encode())
