"""Compressed files, archives and binary formats, told by their first bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

START_BYTES = 512  # of a file: the magic numbers and the header of a tar archive

# Compression by magic number: the names are those of commons-compress.
COMPRESSIONS = {
    b"\x1f\x8b": "gz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
}
SUFFIXES = {"gz": (".gz", ".gzip"), "bzip2": (".bz2",), "zstd": (".zst", ".zstd"), "xz": (".xz",)}
# Hadoop reads these by itself on every machine, if the name has the first of the suffixes.
NATIVE_COMPRESSIONS = ("gz", "bzip2")
AVRO, FEATHER, JSON_ARRAY = "Avro", "Feather", "JSON array"
FEATHER_REFUSAL = (
    "a Feather file, which Spark does not read; write it as Parquet: pandas.read_feather(...).to_parquet(...)"
)
UTF_16, UTF_16LE, UTF_16BE = UTF_16_CHARSETS = ("UTF-16", "UTF-16LE", "UTF-16BE")  # Java's names

_ZIP = b"PK\x03\x04"
_TAR, _TAR_OFFSET = b"ustar", 257
_JSON_ARRAY = re.compile(rb"(\xef\xbb\xbf)?\s*\[\s*\{")
_MIN_NULS = 0.5  # of every second byte of UTF-16 text without a byte order mark
_XLSX_MEMBERS = ("[Content_Types].xml", "xl/", "_rels/")


@dataclass(frozen=True)
class Container:
    """What has to be done before the rows of a file can be read; nothing if all fields are None."""

    compression: str | None = None  # a value of COMPRESSIONS
    archive: str | None = None  # zip or tar
    content: str | None = None  # AVRO, FEATHER, JSON_ARRAY or one of UTF_16_CHARSETS


def compression_of(start: bytes) -> str | None:
    """The compression of a file with these first bytes."""
    return next((name for magic, name in COMPRESSIONS.items() if start.startswith(magic)), None)


def archive_of(start: bytes) -> str | None:
    """The kind of archive with these first bytes, after decompression."""
    if start.startswith(_ZIP):
        return "zip"
    return "tar" if start[_TAR_OFFSET:].startswith(_TAR) else None


def content_of(start: bytes) -> str | None:
    """The binary format, or the form of text, that Spark does not read as it is."""
    if start.startswith(b"Obj\x01"):
        return AVRO
    if start.startswith((b"ARROW1", b"FEA1")):
        return FEATHER
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return UTF_16
    if charset := _unmarked_utf_16(start):
        return charset
    return JSON_ARRAY if _JSON_ARRAY.match(start) else None


def _unmarked_utf_16(start: bytes) -> str | None:
    """UTF-16's charset, if every second byte is mostly zero and no other byte is."""
    first, second = start[::2], start[1::2]
    for charset, nuls, others in ((UTF_16LE, second, first), (UTF_16BE, first, second)):
        if nuls.count(0) >= _MIN_NULS * max(len(nuls), 1) and not others.count(0):
            return charset
    return None


def is_native(name: str, compression: str) -> bool:
    """Whether Hadoop decompresses a file of this name by itself, on every machine."""
    return compression in NATIVE_COMPRESSIONS and name.lower().endswith(SUFFIXES[compression][0])


def is_member(name: str) -> bool:
    """Whether a member of an archive may be data: no folder, marker or metadata of macOS."""
    parts = name.split("/")
    return bool(parts[-1]) and not any(part.startswith((".", "_")) for part in parts)


def is_excel(member: str) -> bool:
    """Whether an archive whose first member has this name is an Excel workbook."""
    return member.startswith(_XLSX_MEMBERS)


def plain_name(name: str) -> str:
    """A file name without the suffix of a compression, of characters that every file system can hold."""
    for suffixes in SUFFIXES.values():
        for suffix in suffixes:
            if name.lower().endswith(suffix):
                name = name[: -len(suffix)]
    return re.sub(r"[^A-Za-z0-9.-]", "-", name).lstrip(".") or "data"
