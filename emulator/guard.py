"""Process that kills registered process trees when its standard input closes.

Input lines: ``+PID`` registers a process, ``-PID`` removes it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import psutil


def tree(pid: int) -> list[psutil.Process]:
    """The process and its descendants; empty when it has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def kill_tree(pid: int, signum: signal.Signals) -> None:
    """Signal a session leader, its descendants and the rest of its process group."""
    for process in tree(pid):
        with contextlib.suppress(psutil.Error):
            process.send_signal(signum)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signum)


def main() -> None:
    """Read registrations until the parent ends, then kill the registered processes."""
    registered: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        if line.startswith("+"):
            registered.add(pid)
        else:
            registered.discard(pid)
    for pid in registered:
        kill_tree(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
