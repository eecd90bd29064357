"""Archives depend on names and contents only."""

import io
import tarfile
import zipfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from components.packing import tar_gz_bytes, write_file, zip_bytes

FILES = st.dictionaries(
    st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}\.py", fullmatch=True), st.binary(max_size=200), max_size=5
)


@given(FILES)
def test_archive_contains_its_files_and_ignores_their_order(files: dict[str, bytes]) -> None:
    backwards = dict(reversed(files.items()))
    assert zip_bytes(files) == zip_bytes(backwards)
    assert tar_gz_bytes(files) == tar_gz_bytes(backwards)
    with zipfile.ZipFile(io.BytesIO(zip_bytes(files))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
    with tarfile.open(fileobj=io.BytesIO(tar_gz_bytes(files))) as tar:
        members = {member.name: tar.extractfile(member) for member in tar}
        assert {name: stream.read() for name, stream in members.items() if stream} == files


def test_archive_contains_no_time_and_no_owner() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_gz_bytes({"a.py": b""}))) as tar:
        (member,) = tar.getmembers()
    assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
    assert tar_gz_bytes({"a.py": b""})[4:8] == bytes(4)  # RFC 1952: MTIME of the gzip header
    with zipfile.ZipFile(io.BytesIO(zip_bytes({"a.py": b""}))) as archive:
        assert archive.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)


def test_written_file_replaces_the_old_one_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "build" / "packages.zip"
    write_file(path, b"old")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]
