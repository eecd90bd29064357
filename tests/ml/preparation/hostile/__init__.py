"""Hostile input files from a seed: each is malformed in one way, and its ids contain the file's number."""

from __future__ import annotations

import gzip
import io
import random
import re
from dataclasses import dataclass

import pyarrow.parquet as pq

from tests.ml.preparation.hostile import binary, text
from tests.ml.preparation.hostile.rows import Make


@dataclass(frozen=True)
class HostileFile:
    """A file and the number of its rows."""

    name: str
    content: bytes
    n_rows: int


# Number of files of each kind.
KINDS: dict[Make, int] = {
    text.times: 8,
    text.ids: 8,
    text.columns: 6,
    text.not_utf8: 8,
    text.nul: 8,
    text.long_line: 3,
    text.repeated_header: 6,
    text.duplicate_column: 6,
    text.line_ends: 16,
    text.bom_twice: 2,
    text.separator: 10,
    text.mixed_separators: 6,
    text.almost_empty: 12,
    text.utf16: 8,
    binary.noise: 16,
    text.flipped: 40,
    text.json_lines: 12,
    text.json_array: 4,
    binary.damaged_archive: 16,
    binary.two_gzip_members: 2,
    binary.parquet: 14,
    binary.broken_parquet: 8,
    binary.odd_parquet: 4,
}


def hostile_files(seed: int) -> list[HostileFile]:
    """All files; the same seed gives the same bytes."""
    files = []
    for make, n in KINDS.items():
        for _ in range(n):
            number = len(files)
            rng = random.Random(f"{seed}-{number}")
            suffix, content = make(f"f{number:03d}", rng)
            name = f"f{number:03d}_{make.__name__}{suffix}"
            files.append(HostileFile(name, content, n_rows(name, content)))
    return files


def n_rows(name: str, content: bytes) -> int:
    """The number of rows of a readable file, counted without Spark."""
    try:
        if name.endswith(".gz"):
            content = gzip.decompress(content)
        elif content.startswith(b"PAR1"):
            return pq.ParquetFile(io.BytesIO(content)).metadata.num_rows
    except (OSError, EOFError, ValueError):
        return 0
    if "_utf16" in name:
        charset = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-16-le"
        content = content.decode("utf-16-be" if content.startswith(b"\0") else charset, "replace").encode()
    lines = re.split(rb"\r\n|\n|\r", content.removeprefix(b"\xef\xbb\xbf"))
    lines = [line for line in lines if line.strip(b" ")]
    return (
        sum(line != lines[0] for line in lines) if not lines or not lines[0].startswith(b"{") else len(lines)
    )
