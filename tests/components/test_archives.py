"""Assets depend on the contents of files only."""

import os
from pathlib import Path

import pulumi
import pytest

from components.archives import code_archive, file_asset, folder_files


def test_deployment_package_excludes_caches_and_hidden_files(tmp_path: Path) -> None:
    for name in ("handler.py", "deep/logic.py", "__pycache__/handler.pyc", ".mypy_cache/a.json", ".env"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    assert list(folder_files(tmp_path)) == ["deep/logic.py", "handler.py"]
    archive = code_archive(tmp_path)
    assert isinstance(archive.assets["handler.py"], pulumi.FileAsset)
    assert sorted(archive.assets) == ["deep/logic.py", "handler.py"]


def test_folder_below_a_hidden_folder_is_packed(tmp_path: Path) -> None:
    folder = tmp_path / ".checkout" / "code"
    folder.mkdir(parents=True)
    (folder / "handler.py").write_text("")
    assert list(folder_files(folder)) == ["handler.py"]


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no files to pack"):
        folder_files(tmp_path / "nowhere")


def test_packed_file_is_not_rewritten_with_the_same_content(tmp_path: Path) -> None:
    path = tmp_path / "build" / "ml.zip"
    file_asset(path, b"one")
    os.utime(path, (1, 1))
    assert file_asset(path, b"one").path == str(path)
    assert path.stat().st_mtime == 1
    file_asset(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]
