"""Zip and tar archives that are the same bytes on every run and every machine. Standard library only.

Times, owners, permissions and order are fixed, and nothing is compressed: the output of deflate depends on
the version of zlib.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

EARLIEST_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # APPNOTE.TXT 4.4.6: a zip has no earlier time
FILE_MODE = 0o644
UNIX = 3  # APPNOTE.TXT 4.4.2: the system that made the entry


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of file contents by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EARLIEST_ZIP_TIME)
            entry.external_attr = (stat.S_IFREG | FILE_MODE) << 16
            entry.create_system = UNIX
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def tar_gz_bytes(files: Mapping[str, bytes]) -> bytes:
    """A gzipped tar archive of file contents by name."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            entry.mode = FILE_MODE
            archive.addfile(entry, io.BytesIO(files[name]))
    return gzip.compress(tar.getvalue(), compresslevel=0, mtime=0)


def write_file(path: Path, content: bytes) -> None:
    """Write a file, and its folder if need be, so that no reader finds a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as draft:
        draft.write(content)
    os.chmod(draft.name, FILE_MODE)  # a temporary file is readable by its owner only
    os.replace(draft.name, path)
