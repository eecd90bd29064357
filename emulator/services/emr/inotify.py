"""Changes of the files below a folder, in the order in which they happen (Linux inotify, inotify(7))."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

IN_CLOSE_WRITE, IN_MOVED_FROM, IN_MOVED_TO = 0x8, 0x40, 0x80
IN_CREATE, IN_DELETE = 0x100, 0x200
IN_Q_OVERFLOW, IN_ISDIR = 0x4000, 0x40000000
WATCHED = IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE
HEADER = struct.Struct("iIII")  # watch, mask, cookie, length of the name
BUFFER_BYTES = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Change:
    """One change of a file: it was written and closed, or renamed into the folder, or it is gone."""

    kind: Literal["written", "gone"]
    path: Path


class TreeWatch:
    """inotify watches on a folder and all folders below it, those that are created later included."""

    def __init__(self, folder: Path) -> None:
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._folders: dict[int, Path] = {}
        self._moved: list[Change] = []  # sources of renames: reported after their targets
        self.overflowed = False
        for found in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            self._watch(found)

    def close(self) -> None:
        """End the watch."""
        os.close(self._fd)

    def wait(self, timeout_s: float) -> Iterator[Change]:
        """Changes since the last call; waits for the first one."""
        if not self._moved:
            select.select([self._fd], [], [], timeout_s)
        with contextlib.suppress(BlockingIOError):
            while buffer := os.read(self._fd, BUFFER_BYTES):
                yield from self._changes(buffer)
        yield from self._moved_away()

    def _changes(self, buffer: bytes) -> Iterator[Change]:
        offset = 0
        while offset < len(buffer):
            watch, mask, _, length = HEADER.unpack_from(buffer, offset)
            offset += HEADER.size
            name = buffer[offset : offset + length].rstrip(b"\0").decode()
            offset += length
            if mask & IN_Q_OVERFLOW:
                self.overflowed = True
            elif name and watch in self._folders:
                yield from self._change(self._folders[watch] / name, mask)

    def _change(self, path: Path, mask: int) -> Iterator[Change]:
        if mask & IN_MOVED_FROM:
            self._moved.append(Change("gone", path))
            return
        if mask & IN_DELETE:
            yield Change("gone", path)
        elif mask & IN_ISDIR and mask & (IN_CREATE | IN_MOVED_TO):
            yield from self._new_folder(path)
        elif mask & (IN_CLOSE_WRITE | IN_MOVED_TO):
            yield Change("written", path)
        if mask & IN_MOVED_TO:
            yield from self._moved_away()

    def _moved_away(self) -> Iterator[Change]:
        moved, self._moved = self._moved, []
        yield from moved

    def _new_folder(self, folder: Path) -> Iterator[Change]:
        """Watch a new folder and report the files that it has already, oldest first."""
        self._watch(folder)
        with contextlib.suppress(OSError):  # deleted in the meantime
            entries = sorted(folder.iterdir(), key=_modified_ns)
            for entry in entries:
                if entry.is_dir():
                    yield from self._new_folder(entry)
                else:
                    yield Change("written", entry)

    def _watch(self, folder: Path) -> None:
        watch = _libc.inotify_add_watch(self._fd, os.fsencode(folder), WATCHED)
        if watch >= 0:  # the folder may have been deleted
            self._folders[watch] = folder


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
