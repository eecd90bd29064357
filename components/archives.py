"""Archives that are the same bytes on every run and every machine.

Times, owners, permissions and order are fixed, and nothing is compressed: two zlibs may pack the same
input differently, and these files are small. The same bytes mean that `pulumi up` has nothing to do.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pulumi

FIRST_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # APPNOTE.TXT 4.4.6: the earliest time that a zip can hold
FILE_MODE = 0o644


def folder_files(folder: Path) -> dict[str, Path]:
    """The files below a folder, by POSIX path relative to it, in order.

    What tools leave behind is left out: ``__pycache__`` and whatever is hidden.

    Raises:
        ValueError: there is no such folder, or nothing in it.
    """
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(map(_is_left_out, path.relative_to(folder).parts))
    }
    if not files:
        raise ValueError(f"{folder}: no files to pack")
    return files


def _is_left_out(name: str) -> bool:
    return name == "__pycache__" or name.startswith(".")


def code_archive(folder: Path) -> pulumi.AssetArchive:
    """A folder as a deployment package; Pulumi hashes its contents, never its times."""
    return pulumi.AssetArchive(
        {name: pulumi.FileAsset(str(path)) for name, path in folder_files(folder).items()}
    )


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    """A zip of the files, by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, FIRST_ZIP_DATE)
            info.external_attr = FILE_MODE << 16
            info.create_system = 3  # Unix, wherever this runs
            archive.writestr(info, files[name])
    return buffer.getvalue()


def tar_gz_bytes(files: Mapping[str, bytes]) -> bytes:
    """A gzipped tar of the files, by name."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size = len(files[name])
            info.mode = FILE_MODE
            archive.addfile(info, io.BytesIO(files[name]))
    return gzip.compress(tar.getvalue(), compresslevel=0, mtime=0)


def file_asset(path: Path, content: bytes) -> pulumi.FileAsset:
    """`content` as a file to upload; whoever runs at the same time finds a whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as draft:
            draft.write(content)
        os.replace(draft.name, path)
    return pulumi.FileAsset(str(path))
