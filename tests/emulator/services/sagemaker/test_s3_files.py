"""Downloads from S3, and archives."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.app import Emulator
from emulator.services.sagemaker.s3_files import S3Files, S3FilesError, pack, unpack
from tests.emulator.services.sagemaker.support import BUCKET, Put, archive


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("p/a/", ["b.txt", "deep/c.txt"]),
        ("p/a", ["ab.txt", "b.txt", "deep/c.txt"]),
        ("p/a/b.txt", ["b.txt"]),
        ("p/a/deep", ["c.txt"]),
    ],
)
def test_file_names_are_the_part_of_the_key_after_the_prefix(
    emulator: Emulator, put: Put, tmp_path: Path, prefix: str, names: list[str]
) -> None:
    for key in ("p/a/b.txt", "p/a/deep/c.txt", "p/ab.txt", "p/a/folder-marker/"):
        put(key, "x")
    count = S3Files(emulator.client("s3")).download_prefix(f"s3://{BUCKET}/{prefix}", tmp_path)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert (found, count) == (names, len(names))


def test_key_that_leads_out_of_the_folder_is_refused(emulator: Emulator, put: Put, tmp_path: Path) -> None:
    put("q/../../escape.txt", "x")
    with pytest.raises(S3FilesError, match="has a path outside the folder"):
        S3Files(emulator.client("s3")).download_prefix(f"s3://{BUCKET}/q/", tmp_path / "in")


def test_archive_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil.tar.gz").write_bytes(archive({"../evil.txt": "x"}))
    with pytest.raises(S3FilesError, match=r"not a tar\.gz archive"):
        unpack(tmp_path / "evil.tar.gz", tmp_path / "out")
    assert not (tmp_path / "evil.txt").exists()


def test_packed_folder_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.txt").write_text("a")
    pack(tmp_path / "in", tmp_path / "x.tar.gz")
    unpack(tmp_path / "x.tar.gz", tmp_path / "out")
    assert (tmp_path / "out" / "deep" / "a.txt").read_text() == "a"
