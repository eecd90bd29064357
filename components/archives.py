"""Files as Pulumi assets whose hash depends on their contents only, never on their times."""

from __future__ import annotations

from pathlib import Path

import pulumi

from components.packing import write_file


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


def file_asset(path: Path, content: bytes) -> pulumi.FileAsset:
    """`content` as a file to upload; a concurrent run reads the old or the new file, never a part."""
    if not path.exists() or path.read_bytes() != content:
        write_file(path, content)
    return pulumi.FileAsset(str(path))
