"""Samples of local files, without Spark: what `--explain` and `make up` look at."""

from __future__ import annotations

import bz2
import glob
import gzip
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from ml.preparation.detect.containers import JSON_ARRAY, START_BYTES, content_of, is_excel, is_member
from ml.preparation.detect.input_error import InputError, is_documentation
from ml.preparation.detect.json_array import array_elements
from ml.preparation.detect.patterns import alternatives, has_wildcard
from ml.preparation.detect.table_formats import METADATA, refusal, table_format

HEAD_BYTES = 256 * 1024
_CHUNKS = 12  # further places of a large plain file
_CHUNK_BYTES = 96 * 1024
# RuntimeError: an archive is encrypted, or compressed with a method that Python does not know.
_UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    lzma.LZMAError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
)
_EMPTY = "an archive without a file in it that is not empty"


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

    Args:
        path: a file, a folder, or a pattern of such.

    Raises:
        InputError: there are none, or they are of a table with deleted rows.
    """
    if path.is_file():
        return [path]
    matches = [path] if path.exists() else _matches(path)
    for match in matches:
        _refuse_table_format(match)
    found = sorted({each for match in matches for each in ([match] if match.is_file() else match.rglob("*"))})
    root = input_root(path)
    kept = [each for each in found if each.is_file() and each.stat().st_size and _is_data(each, root)]
    if not kept:
        raise InputError(f"{path}: no data files; names that start with _ or . are skipped")
    return kept


def input_root(path: Path) -> Path:
    """The folder of an input, below which names have a meaning; the file itself if the input is a file."""
    if path.exists():
        return path
    n_fixed = next((number for number, part in enumerate(path.parts) if has_wildcard(part)), len(path.parts))
    return Path(*path.parts[:n_fixed])


def _refuse_table_format(path: Path) -> None:
    for folder in (path, *path.iterdir()) if path.is_dir() else ():
        names = [each.name for each in folder.iterdir()] if folder.is_dir() else []
        metadata = partial(os.listdir, folder / METADATA)
        kind = table_format(names, metadata)
        if kind is not None:
            raise InputError(refusal(str(folder), kind))


def _matches(path: Path) -> list[Path]:
    found = [Path(match) for each in alternatives(str(path)) for match in glob.glob(each)]
    if not found:
        what = "no file or folder has such a name" if has_wildcard(str(path)) else "no such file or folder"
        raise InputError(f"{path}: {what}")
    return found


def _is_data(file: Path, root: Path) -> bool:
    below = file.relative_to(root).parts
    return not is_documentation(file.name) and not any(part.startswith(("_", ".")) for part in below)


def sample_file(path: Path) -> FileSample:
    """Read the head of a file, decompressed, and for a large plain file some lines from other places.

    A plain file that is not larger than head and chunks together is read whole, so that no row counts twice.

    Raises:
        InputError: the file cannot be read, or is an archive without a file. Of several files, the first is
            read.
    """
    size = path.stat().st_size
    try:
        with _opened(path) as (stream, is_plain):
            is_small = is_plain and size <= HEAD_BYTES + _CHUNKS * _CHUNK_BYTES
            head = stream.read(size if is_small else HEAD_BYTES)
            is_cut = bool(stream.read(1))
            chunks = tuple(_chunks(path, size)) if is_plain and is_cut else ()
            if content_of(head[:START_BYTES]) == JSON_ARRAY:
                head, chunks = _as_json_lines(head, is_cut=is_cut), ()
    except _UNREADABLE as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    return FileSample(str(path), size, head, chunks, is_cut)


def _as_json_lines(head: bytes, *, is_cut: bool) -> bytes:
    """The elements of a JSON array, one per line, as the job converts them."""
    elements = list(array_elements([head.decode("utf-8", "replace")]))
    return "".join(f"{each}\n" for each in (elements[:-1] if is_cut else elements)).encode()


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
            if any(map(is_excel, archive.namelist())):
                raise InputError(f"{path}: an Excel workbook; save the sheet as CSV UTF-8 (or CSV) in Excel")
            filled = [each.filename for each in archive.infolist() if each.file_size]
            members = list(filter(is_member, filled))
            if not members:
                raise InputError(f"{path}: {_EMPTY}")
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
        is_data = member.isfile() and member.size and is_member(member.name)
        content = archive.extractfile(member) if is_data else None
        if content is not None:
            return content
    raise InputError(f"{path}: {_EMPTY}")
