"""Runs a command with its own view of the file system: private folders at the paths that a service documents.

    python -I -S enter.py SPEC COMMAND ARGUMENT...

SPEC is a JSON document, see `emulator.mounts.View`. The command replaces this process (same process id). In a
new mount namespace, and without root privileges in a new user namespace as well, a temporary file system
becomes the root; it holds bind mounts of this machine's folders, read-only, and of the private folders.
Standard library only: no site-packages, so that it starts in milliseconds.
"""

from __future__ import annotations

import ctypes
import json
import os
import stat
import struct
import sys
from typing import Any

# linux/sched.h, linux/mount.h
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
SYS_MOUNT_SETATTR = 442  # the same number on every architecture since Linux 5.12
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = -100, 0x8000, 1

EXIT_CANNOT_RUN = 127  # as in a shell
CANNOT_RUN = "cannot run"

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Raise OSError for a failed call of the C library."""
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2)."""
    encoded = [text.encode() if text is not None else None for text in (source, target, kind)]
    check(libc.mount(*encoded, flags, data.encode() if data else None), f"mount {target}")


def bind(source: str, target: str) -> None:
    """Bind mount with the mounts below it."""
    mount(source, target, None, MS_BIND | MS_REC)


def set_read_only(path: str, read_only: bool) -> None:
    """Make a mount and all mounts below it read-only, or writable."""
    changes = (MOUNT_ATTR_RDONLY, 0) if read_only else (0, MOUNT_ATTR_RDONLY)
    attributes = struct.pack("QQQQ", *changes, 0, 0)
    call = (AT_FDCWD, path.encode(), AT_RECURSIVE, attributes, len(attributes))
    check(libc.syscall(SYS_MOUNT_SETATTR, *call), f"mount_setattr {path}")


def unshare() -> None:
    """New mount namespace; without root privileges as root of a new user namespace."""
    if os.geteuid() == 0 and libc.unshare(CLONE_NEWNS) == 0:
        return
    user, group = os.geteuid(), os.getegid()
    check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


class Root:
    """The new root folder: every entry of this machine's root, bind-mounted."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._own: set[str] = set()  # folders on temporary file systems, in which names can be created
        self._writable: set[str] = set()
        mount("tmpfs", path, "tmpfs", 0, "mode=755")
        self._own.add(path)
        self._fill(path, "/")

    def put(self, source: str, target: str, *, writable: bool = False) -> None:
        """Bind mount a folder or file at an absolute path, which is created if it does not exist.

        Args:
            writable: names may be created in the source itself.
        """
        here = self.path
        *parents, name = target.strip("/").split("/")
        for part in parents:
            here = self._child(here, part)
        place = os.path.join(here, name)
        if not os.path.lexists(place):
            self._open(here)
            self._create(place, os.stat(source).st_mode)
        bind(source, place)
        self._own.discard(place)
        if writable:
            self._writable.add(place)

    def _child(self, here: str, name: str) -> str:
        path = os.path.join(here, name)
        if os.path.islink(path):
            raise OSError(f"{path.removeprefix(self.path)} is a symbolic link")
        if not os.path.isdir(path):
            self._open(here)
            os.mkdir(path)
            self._own.add(path)
        return path

    def _open(self, folder: str) -> None:
        """Replace a bind mount by a temporary file system with the same entries."""
        if folder in self._own or any(f"{folder}/".startswith(f"{path}/") for path in self._writable):
            return
        original = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        mode = stat.S_IMODE(os.stat(folder).st_mode)
        mount("tmpfs", folder, "tmpfs", 0, f"mode={mode:o}")
        self._own.add(folder)
        self._fill(folder, f"/proc/self/fd/{original}")

    def _fill(self, folder: str, source: str) -> None:
        for entry in os.scandir(source):
            path = os.path.join(folder, entry.name)
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), path)
            else:
                self._create(path, entry.stat().st_mode)
                bind(entry.path, path)

    @staticmethod
    def _create(path: str, mode: int) -> None:
        if stat.S_ISDIR(mode):
            os.mkdir(path)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def enter(spec: dict[str, Any]) -> None:
    """Enter the view of a specification."""
    unshare()
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    root = Root(spec["root"])
    for source, target, writable in spec["binds"]:
        root.put(source, target, writable=writable)
    for path in spec["kept"]:
        here = root.path + path
        if not (os.path.exists(here) and os.path.samefile(here, path)):  # hidden by a bind mount
            root.put(path, path)
    set_read_only(root.path, True)
    for _, target, writable in spec["binds"]:
        if writable:
            set_read_only(root.path + target, False)
    for path in spec["memory"]:
        mount("tmpfs", root.path + path, "tmpfs", 0)
    os.chroot(root.path)
    os.chdir(spec["cwd"])


def main(argv: list[str]) -> None:
    """Enter the view, then run the command with this process's environment."""
    enter(json.loads(argv[0]))
    try:
        os.execvp(argv[1], argv[1:])  # noqa: S606 - the command takes over this process
    except OSError as error:
        print(f"{CANNOT_RUN} {argv[1]}: {error.strerror}", file=sys.stderr)
        sys.exit(EXIT_CANNOT_RUN)


if __name__ == "__main__":
    main(sys.argv[1:])
