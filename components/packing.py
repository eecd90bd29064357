"""Deterministic zip and tar archives: the same files give the same bytes. Standard library only.

Timestamps, owners, permissions and order are fixed, and nothing is compressed, because the output of deflate
depends on the version of zlib.
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

EARLIEST_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # APPNOTE.TXT 4.4.6: earliest date of the format
FILE_MODE = 0o644
UNIX = 3  # APPNOTE.TXT 4.4.2: operating system of the entry


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    """Zip archive of files, given as name to content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EARLIEST_ZIP_TIME)
            entry.external_attr = (stat.S_IFREG | FILE_MODE) << 16
            entry.create_system = UNIX
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def tar_gz_bytes(files: Mapping[str, bytes]) -> bytes:
    """Gzipped tar archive of files, given as name to content."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            entry.mode = FILE_MODE
            archive.addfile(entry, io.BytesIO(files[name]))
    return gzip.compress(tar.getvalue(), compresslevel=0, mtime=0)


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically; missing folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as draft:
        draft.write(content)
    os.chmod(draft.name, FILE_MODE)  # temporary files are readable by their owner only
    os.replace(draft.name, path)
