"""Hostile binary files: noise, compressed text and Parquet."""

from __future__ import annotations

import bz2
import io
import random
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq

from tests.ml.preparation.hostile.rows import HEADER, gzipped, text_with


def noise(mark: str, rng: random.Random) -> tuple[str, bytes]:
    return rng.choice([".csv", ".json", ".parquet", ".csv.gz"]), rng.randbytes(rng.randrange(1, 5000))


def damaged_archive(mark: str, rng: random.Random) -> tuple[str, bytes]:
    """Compressed text that is truncated, partly overwritten, or has the wrong suffix."""
    # Random ids, because highly compressible text would leave nothing to overwrite.
    lines = "\n".join(f"{mark}-{rng.getrandbits(64)},{rng.getrandbits(64)},1600000000" for _ in range(3000))
    suffix, packed = rng.choice(
        [
            (".gz", gzipped(f"{HEADER}\n{lines}".encode())),
            (".bz2", bz2.compress(f"{HEADER}\n{lines}".encode())),
        ]
    )
    middle = len(packed) // 2
    how = rng.randrange(4)
    if how == 0:
        return f".csv{suffix}", packed[: rng.randrange(1, len(packed) - 1)]
    if how == 1:
        return f".csv{suffix}", packed[:middle] + rng.randbytes(64) + packed[middle + 64 :]
    if how == 2:
        return ".csv", gzipped(lines.encode())
    return f".csv{suffix}", lines.encode()


def two_gzip_members(mark: str, rng: random.Random) -> tuple[str, bytes]:
    """A gzip file of two members, which is valid."""
    half = gzipped(f"{HEADER}\n".encode()) + gzipped(text_with(mark, rng, f"{mark}-u1,i1,never").encode())
    return ".csv.gz", half


def _parquet_bytes(mark: str, rng: random.Random, time: pa.Array) -> bytes:
    n = len(time)
    users = pa.array([None, "", *(f"{mark}-u{number}" for number in range(n - 2))])
    items = rng.choice([pa.array([float(x) for x in range(n)]), pa.array(range(n)), pa.array([b"\xff"] * n)])
    sink = io.BytesIO()
    pq.write_table(pa.table({"user_id": users, "item_id": items, "timestamp": time}), sink)
    return sink.getvalue()


def parquet(mark: str, rng: random.Random) -> tuple[str, bytes]:
    ancient = [datetime(1, 1, 1), datetime(1500, 1, 1), datetime(9999, 1, 1), datetime(2024, 1, 1), None]  # noqa: DTZ001
    seconds = [-(2**63), 2**63 - 1, 0, 1_600_000_000, None]
    times = [
        pa.array(ancient, pa.timestamp(rng.choice(["ms", "us"]))),
        pa.array(seconds),
        pa.array([float("nan"), float("inf"), -1e308, 1.6e9, None]),
        pa.array(seconds, pa.timestamp("ns")),
        pa.array(seconds, pa.timestamp("ms")),
        pa.array([b"\xff", b"", b"1600000000", None, b"x"]),
        pa.array(["", "1600000000", None, "never", "2024-01-01"]),
    ]
    return ".parquet", _parquet_bytes(mark, rng, rng.choice(times))


def broken_parquet(mark: str, rng: random.Random) -> tuple[str, bytes]:
    whole = _parquet_bytes(mark, rng, pa.array(range(1_600_000_000, 1_600_000_100)))
    cut = whole[: rng.randrange(4, len(whole) - 1)]
    footer = whole[:-60] + rng.randbytes(52) + whole[-8:]
    page = whole[:4] + rng.randbytes(200) + whole[204:]
    return ".parquet", rng.choice([cut, footer, page])


def odd_parquet(mark: str, rng: random.Random) -> tuple[str, bytes]:
    odd = rng.choice([[[1]], [{"a": 1}], [True]])
    sink = io.BytesIO()
    pq.write_table(pa.table({rng.choice(["user_id", "price"]): odd, "item_id": [1], "timestamp": [1]}), sink)
    return ".parquet", sink.getvalue()
