"""Descendants of a process, and the memory that they hold.

On Linux from the files of these processes alone: psutil reads those of every process of the machine, and the
memory limits of an emulator's children are checked ten times a second.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import psutil

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
HAS_CHILDREN_FILES = os.path.exists(f"/proc/self/task/{os.getpid()}/children")  # proc(5): a kernel option


def tree(pid: int) -> Iterator[int]:
    """A process and its descendants, parents first; nothing for a process that has ended."""
    if HAS_CHILDREN_FILES:
        yield from _tree(pid)
        return
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        yield pid
        yield from (child.pid for child in process.children(recursive=True))


def memory_mib(pid: int) -> float:
    """Resident memory of a process and its descendants, in MiB; 0 for a process that has ended."""
    return sum(_resident_bytes(each) for each in tree(pid)) / 2**20


def _tree(pid: int) -> Iterator[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    yield pid
    for thread in threads:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
            for child in file.read().split():
                yield from _tree(int(child))


def _resident_bytes(pid: int) -> int:
    if HAS_CHILDREN_FILES:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * PAGE_BYTES  # proc(5): size, resident, …, in pages
        return 0
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0
