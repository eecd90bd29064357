"""Archives are a function of names and bytes, and of nothing else."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.archives import code_archive, file_asset, folder_files, tar_gz_bytes, zip_bytes

FILES = st.dictionaries(
    st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}\.py", fullmatch=True), st.binary(max_size=200), max_size=5
)


@given(FILES)
def test_an_archive_holds_its_files_whatever_their_order(files: dict[str, bytes]) -> None:
    backwards = dict(reversed(files.items()))
    assert zip_bytes(files) == zip_bytes(backwards)
    assert tar_gz_bytes(files) == tar_gz_bytes(backwards)
    with zipfile.ZipFile(io.BytesIO(zip_bytes(files))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
    with tarfile.open(fileobj=io.BytesIO(tar_gz_bytes(files))) as tar:
        members = {member.name: tar.extractfile(member) for member in tar}
        assert {name: stream.read() for name, stream in members.items() if stream} == files


def test_nothing_of_this_machine_or_this_moment_is_in_an_archive() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_gz_bytes({"a.py": b""}))) as tar:
        (member,) = tar.getmembers()
    assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
    assert tar_gz_bytes({"a.py": b""})[4:8] == bytes(4)  # RFC 1952: MTIME of the gzip header
    with zipfile.ZipFile(io.BytesIO(zip_bytes({"a.py": b""}))) as archive:
        assert archive.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)


def test_a_deployment_package_leaves_out_what_tools_leave_behind(tmp_path: Path) -> None:
    for name in ("handler.py", "deep/logic.py", "__pycache__/handler.pyc", ".mypy_cache/a.json", ".env"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    assert list(folder_files(tmp_path)) == ["deep/logic.py", "handler.py"]
    archive = code_archive(tmp_path)
    assert isinstance(archive.assets["handler.py"], pulumi.FileAsset)
    assert sorted(archive.assets) == ["deep/logic.py", "handler.py"]


def test_a_folder_below_a_hidden_one_is_packed_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / ".checkout" / "code"
    folder.mkdir(parents=True)
    (folder / "handler.py").write_text("")
    assert list(folder_files(folder)) == ["handler.py"]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no files to pack"):
        folder_files(tmp_path / "nowhere")


def test_a_packed_file_is_written_once_for_the_same_content(tmp_path: Path) -> None:
    path = tmp_path / "build" / "ml.zip"
    file_asset(path, b"one")
    os.utime(path, (1, 1))
    assert file_asset(path, b"one").path == str(path)
    assert path.stat().st_mtime == 1
    file_asset(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]
