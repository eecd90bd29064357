"""Samples of local files, without Spark: what `--explain` and `make up` look at."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ml.preparation.detect.input_error import InputError, is_documentation

HEAD_BYTES = 256 * 1024
_CHUNKS = 12  # further places of a large plain file
_CHUNK_BYTES = 96 * 1024
_ARCHIVE = "an archive with {} members; unpack it, or pack one file"


@dataclass(frozen=True)
class FileSample:
    """Content of a file at its start and at some other places."""

    name: str
    n_bytes: int  # as stored
    head: bytes  # decompressed
    chunks: tuple[bytes, ...] = ()  # of whole lines, from other places; none if the file is compressed
    is_cut: bool = False  # whether the content goes on after `head`


def data_files(path: Path) -> list[Path]:
    """The files of an input, without names that start with _ or ., as the job reads them.

    Raises:
        InputError: there are none.
    """
    if path.is_file():
        return [path]
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    found = sorted(
        each
        for each in path.rglob("*")
        if each.is_file()
        and each.stat().st_size
        and not is_documentation(each.name)
        and not any(part.startswith(("_", ".")) for part in each.relative_to(path).parts)
    )
    if not found:
        raise InputError(f"{path}: no data files; names that start with _ or . are skipped")
    return found


def sample_file(path: Path) -> FileSample:
    """Read the head of a file, decompressed, and for a large plain file some lines from other places.

    A plain file that is not larger than head and chunks together is read whole, so that no row counts twice.

    Raises:
        InputError: the file cannot be opened, or is an archive of several files.
    """
    size = path.stat().st_size
    try:
        with _opened(path) as (stream, is_plain):
            is_small = is_plain and size <= HEAD_BYTES + _CHUNKS * _CHUNK_BYTES
            head = stream.read(size if is_small else HEAD_BYTES)
            is_cut = bool(stream.read(1))
            chunks = tuple(_chunks(path, size)) if is_plain and is_cut else ()
    except (OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    return FileSample(str(path), size, head, chunks, is_cut)


def _chunks(path: Path, size: int) -> Iterator[bytes]:
    """Lines from equally spaced places after the head, which do not overlap."""
    with path.open("rb") as stream:
        for number in range(_CHUNKS):
            stream.seek(HEAD_BYTES + number * (size - HEAD_BYTES - _CHUNK_BYTES) // (_CHUNKS - 1))
            chunk = stream.read(_CHUNK_BYTES)
            lines = chunk.split(b"\n")[1:-1]
            if lines:
                yield b"\n".join(lines)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], bool]]:
    """The decompressed content, and whether it is stored as it is."""
    with path.open("rb") as start:
        magic = start.read(512)
    if magic.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(path) as archive:
            members = [each for each in archive.namelist() if not each.endswith("/")]
            if any(each.startswith(("[Content_Types].xml", "xl/")) for each in members):
                raise InputError(f"{path}: an Excel workbook; save the sheet as CSV UTF-8 (or CSV) in Excel")
            if len(members) != 1:
                raise InputError(f"{path}: " + _ARCHIVE.format(len(members)))
            with archive.open(members[0]) as stream:
                yield stream, False
        return
    decompressed: Any = _decompressed(path, magic)
    if decompressed is None:
        with path.open("rb") as stream:
            if magic[257:].startswith(b"ustar"):
                yield _first_member(path, stream), False
            else:
                yield stream, True
        return
    with closing(decompressed) as stream:
        beginning = stream.peek(512)[:512] if hasattr(stream, "peek") else b""
        yield (_first_member(path, stream) if beginning[257:].startswith(b"ustar") else stream), False


def _decompressed(path: Path, magic: bytes) -> Any:
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    if magic.startswith(b"BZh"):
        return bz2.open(path)
    if magic.startswith(b"\xfd7zXZ\x00"):
        return lzma.open(path)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow  # noqa: PLC0415 (a tenth of a second that only these files need)

        return pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), "zstd")
    return None


def _first_member(path: Path, stream: IO[bytes]) -> IO[bytes]:
    archive = tarfile.open(fileobj=stream, mode="r|")  # noqa: SIM115 (read until the stream is closed)
    for member in archive:
        content = archive.extractfile(member) if member.isfile() else None
        if content is not None:
            return content
    raise InputError(f"{path}: " + _ARCHIVE.format(0))
