"""Samples of local files."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from ml.preparation.detect.input_error import InputError
from ml.preparation.detect.local_files import sample_file


# Below, at and above the size up to which a file is read whole (1.4 MB), and far above.
@pytest.mark.parametrize("n_rows", [1_000, 24_001, 57_000, 58_000, 75_000, 400_000])
def test_no_row_of_a_file_is_sampled_twice(tmp_path: Path, n_rows: int) -> None:
    path = tmp_path / "events.csv"
    path.write_text("".join(f"u{n:07},i{n:07},{n:06}\n" for n in range(n_rows)))
    sample = sample_file(path)
    lines = b"\n".join([sample.head, *sample.chunks]).split()
    whole = [line for line in lines if len(line) == 24]  # without the line that the end of the head cuts
    assert len(set(whole)) == len(whole)
    assert sample.is_cut or len(whole) == n_rows


def damaged_gzip() -> bytes:
    content = bytearray(gzip.compress(b"".join(b"u%d,i%d,1\n" % (n, 7 * n % 100) for n in range(1_000))))
    content[20:40] = bytes(20)
    return bytes(content)


def archive_with(flags: int = 0, method: int = 0) -> bytes:
    """A zip archive whose headers have other flags or another compression method than its content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("events.csv", "u1,i1,1\n")
    content = bytearray(buffer.getvalue())
    for header, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(header) + place
        content[at : at + 4] = bytes([flags, 0, method, 0])
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (damaged_gzip(), "Error -3 while decompressing"),
        (gzip.compress(b"u1,i1,1\n")[:-12], "ended before the end-of-stream"),
        (archive_with(flags=1), "is encrypted"),
        (archive_with(method=9), "compression method is not supported"),
    ],
    ids=["damaged", "cut off", "encrypted", "unknown method"],
)
def test_compressed_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "events"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"^{path}: cannot be read: .*{reason}"):
        sample_file(path)
