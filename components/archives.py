"""Pulumi assets of files; their hash depends on contents only, not on timestamps."""

from __future__ import annotations

from pathlib import Path

import pulumi

from components.packing import write_file


def folder_files(folder: Path) -> dict[str, Path]:
    """Files below a folder, by POSIX path relative to it, sorted.

    ``__pycache__`` and hidden files and folders are excluded.

    Raises:
        ValueError: the folder does not exist or has no files.
    """
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(map(_is_excluded, path.relative_to(folder).parts))
    }
    if not files:
        raise ValueError(f"{folder}: no files to pack")
    return files


def _is_excluded(name: str) -> bool:
    return name == "__pycache__" or name.startswith(".")


def code_archive(folder: Path) -> pulumi.AssetArchive:
    """Deployment package of a folder; Pulumi's hash of it depends on names and contents only."""
    return pulumi.AssetArchive(
        {name: pulumi.FileAsset(str(path)) for name, path in folder_files(folder).items()}
    )


def file_asset(path: Path, content: bytes) -> pulumi.FileAsset:
    """Asset of a file with this content, written atomically: a concurrent run never reads a partial file."""
    if not path.exists() or path.read_bytes() != content:
        write_file(path, content)
    return pulumi.FileAsset(str(path))
