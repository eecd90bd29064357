"""Hostile input files, from a seed: each broken in one way, its ids marked by the file's number."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq

HEADER = "user_id,item_id,timestamp"
MEBIBYTE = 1024 * 1024
N_USERS, N_ITEMS = 2, 6


@dataclass(frozen=True)
class HostileFile:
    """A file, and how many rows it holds."""

    name: str
    content: bytes
    n_rows: int


Make = Callable[[str, random.Random], tuple[str, bytes]]  # mark, seeded -> suffix, content


def good(mark: str, rng: random.Random, separator: str = ",") -> list[str]:
    """Events that can be used."""
    return [
        separator.join(
            [f"{mark}-u{user}", f"i{rng.randrange(40)}", str(rng.randrange(1_500_000_000, 1_700_000_000))]
        )
        for user in range(N_USERS)
        for _ in range(N_ITEMS)
    ]


def _with(mark: str, rng: random.Random, *bad: str, header: str = HEADER) -> str:
    lines = good(mark, rng)
    for line in bad:
        lines.insert(rng.randrange(len(lines) + 1), line)
    return "\n".join([header, *lines, ""])


TIMES = (
    "-1 -62135596800 99999999999 1e400 1e18 0 1600000000000 0x5F5E100 9999-12-31 -0001-01-01 2024-02-30 "
    "2024-01-01T25:00:00Z NaN -Infinity 1_600 ١٦٠٠"
)


def _times(mark: str, rng: random.Random) -> tuple[str, bytes]:
    times = [*TIMES.split(), "9" * 400]
    return ".csv", _with(mark, rng, *(f"{mark}-u0,i1,{time}" for time in times)).encode()


IDS = '\'|"|""|"a ""b"""|"x\ny"|\u202e|../../x|${jndi:x}|=1+1|\ufeff'


def _ids(mark: str, rng: random.Random) -> tuple[str, bytes]:
    ids = [*IDS.split("|"), "😀" * 20, "é" * 400]
    return ".csv", _with(mark, rng, *(f"{mark}-{each},{each},1600000000" for each in ids)).encode()


def _columns(mark: str, rng: random.Random) -> tuple[str, bytes]:
    counts = [1, 2, 4, 5, 300, rng.randrange(1000, 30_000)]
    quoted = '"a"' + "," * 25_000
    return ".csv", _with(mark, rng, *(",".join([f"{mark}-x"] * n) for n in counts), quoted).encode()


def _not_utf8(mark: str, rng: random.Random) -> tuple[str, bytes]:
    body = _with(
        mark, rng, f"{mark}-né,i1,1600000000", f"{mark}-u1,“x”,1600000000", f"{mark}-u1,i1,1600000000é"
    )
    return ".csv", body.encode("cp1252")


def _nul(mark: str, rng: random.Random) -> tuple[str, bytes]:
    lines = [
        f"{mark}-u\x00,i1,1600000000",
        f"{mark}-u1,\x00,1600000000",
        f"{mark}-u1,i1,16000\x0000000",
        "\x00" * 50,
    ]
    return ".csv", _with(mark, rng, *lines).encode()


def _long_line(mark: str, rng: random.Random) -> tuple[str, bytes]:
    return ".csv", _with(mark, rng, rng.choice([",", "x", '"']) * (10 * MEBIBYTE)).encode()


def _repeated_header(mark: str, rng: random.Random) -> tuple[str, bytes]:
    return ".csv", _with(mark, rng, HEADER, HEADER).encode()


def _duplicate_column(mark: str, rng: random.Random) -> tuple[str, bytes]:
    twice = rng.choice(["user_id", "item_id", "timestamp"])
    return ".csv", _with(mark, rng, header=f"{HEADER},{twice}").encode()


def _line_ends(mark: str, rng: random.Random) -> tuple[str, bytes]:
    text = _with(mark, rng, "", "   ", "\t", f"{mark}-u1,,")
    bom = rng.choice(["", "\ufeff"])
    return rng.choice([".csv", ".txt"]), (
        bom + text.replace("\n", rng.choice(["\r\n", "\r", "\n\n"]))
    ).encode()


def _bom_twice(mark: str, rng: random.Random) -> tuple[str, bytes]:
    return ".csv", ("\ufeff\ufeff" + _with(mark, rng)).encode()


def _separator(mark: str, rng: random.Random) -> tuple[str, bytes]:
    return ".csv", _with(mark, rng).replace(",", rng.choice([";", "|", " ", ":", "\x01"])).encode()


def _mixed_separators(mark: str, rng: random.Random) -> tuple[str, bytes]:
    bad = [line.replace(",", each) for each in (";", "\t", "::") for line in good(mark, rng)[:2]]
    return ".csv", _with(mark, rng, *bad).encode()


def _little(mark: str, rng: random.Random) -> tuple[str, bytes]:
    return ".csv", rng.choice(
        [b"", b"\n\n", b"\xef\xbb\xbf", HEADER.encode(), f"{HEADER}\n\n".encode(), b"\x00", b" "]
    )


def _utf16(mark: str, rng: random.Random) -> tuple[str, bytes]:
    return ".csv", _with(mark, rng).encode(rng.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32"]))


def _noise(mark: str, rng: random.Random) -> tuple[str, bytes]:
    return rng.choice([".csv", ".json", ".parquet", ".csv.gz"]), rng.randbytes(rng.randrange(1, 5000))


def _flipped(mark: str, rng: random.Random) -> tuple[str, bytes]:
    """A good file with bytes of its body replaced at random."""
    kind = rng.choice([".csv", ".tsv", ".jsonl"])
    if kind == ".jsonl":
        body = bytearray(_json_objects(mark, rng))
        start = body.index(b"\n") + 1
    else:
        body = bytearray(_with(mark, rng).replace(",", "," if kind == ".csv" else "\t").encode())
        start = len(HEADER) + 1
    for _ in range(rng.randrange(1, 30)):
        body[rng.randrange(start, len(body))] = rng.choice([rng.randrange(256), *b'",\n\r\t\x00{}[]:\\'])
    return kind, bytes(body)


def _json_objects(mark: str, rng: random.Random) -> bytes:
    events = [line.split(",") for line in good(mark, rng)]
    return "".join(
        json.dumps({"user_id": user, "item_id": item, "timestamp": int(time)}) + "\n"
        for user, item, time in events
    ).encode()


NOT_OBJECTS = '[]|null|1|"x"|{|}|NaN|\ufeff'


def _json(mark: str, rng: random.Random) -> tuple[str, bytes]:
    whole = _json_objects(mark, rng).decode().splitlines()
    first, *others = whole
    bad = [*NOT_OBJECTS.split("|"), "{}", "[" * 5000, '{"a":' * 2000, first[: rng.randrange(1, len(first))]]
    bad += [first + first, first + "]", f"[{first}]", f"{first},"]
    bad += [first.replace("item_id", "ITEM"), first.replace('"', "'")]
    odd = ({}, [], None, True, "\x00")
    bad += [json.dumps({"user_id": each, "item_id": each, "timestamp": each}) for each in odd]
    lines = [*others, *bad]
    rng.shuffle(lines)
    return rng.choice([".json", ".jsonl"]), "\n".join([first, *lines]).encode()


def _json_of_another_shape(mark: str, rng: random.Random) -> tuple[str, bytes]:
    objects = [json.loads(line) for line in _json_objects(mark, rng).splitlines()]
    return ".json", json.dumps(objects, indent=rng.choice([None, 2])).encode()


def _gzip(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def _packed(mark: str, rng: random.Random) -> tuple[str, bytes]:
    """Compressed, and cut short, overwritten, or named as if it were not compressed."""
    # Random ids, since a text that packs too well has no middle to break.
    lines = "\n".join(f"{mark}-{rng.getrandbits(64)},{rng.getrandbits(64)},1600000000" for _ in range(3000))
    suffix, packed = rng.choice(
        [
            (".gz", _gzip(f"{HEADER}\n{lines}".encode())),
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
        return ".csv", _gzip(lines.encode())
    return f".csv{suffix}", lines.encode()


def _packed_well(mark: str, rng: random.Random) -> tuple[str, bytes]:
    """Members one after the other are one file."""
    half = _gzip(f"{HEADER}\n".encode()) + _gzip(_with(mark, rng, f"{mark}-u1,i1,never").encode())
    return ".csv.gz", half


def _parquet_bytes(mark: str, rng: random.Random, time: pa.Array) -> bytes:
    n = len(time)
    users = pa.array([None, "", *(f"{mark}-u{number}" for number in range(n - 2))])
    items = rng.choice([pa.array([float(x) for x in range(n)]), pa.array(range(n)), pa.array([b"\xff"] * n)])
    sink = io.BytesIO()
    pq.write_table(pa.table({"user_id": users, "item_id": items, "timestamp": time}), sink)
    return sink.getvalue()


def _parquet(mark: str, rng: random.Random) -> tuple[str, bytes]:
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


def _broken_parquet(mark: str, rng: random.Random) -> tuple[str, bytes]:
    whole = _parquet_bytes(mark, rng, pa.array(range(1_600_000_000, 1_600_000_100)))
    cut = whole[: rng.randrange(4, len(whole) - 1)]
    footer = whole[:-60] + rng.randbytes(52) + whole[-8:]
    page = whole[:4] + rng.randbytes(200) + whole[204:]
    return ".parquet", rng.choice([cut, footer, page])


def _odd_parquet(mark: str, rng: random.Random) -> tuple[str, bytes]:
    odd = rng.choice([[[1]], [{"a": 1}], [True]])
    sink = io.BytesIO()
    pq.write_table(pa.table({rng.choice(["user_id", "price"]): odd, "item_id": [1], "timestamp": [1]}), sink)
    return ".parquet", sink.getvalue()


# How many of each.
KINDS: dict[Make, int] = {
    _times: 8,
    _ids: 8,
    _columns: 6,
    _not_utf8: 8,
    _nul: 8,
    _long_line: 3,
    _repeated_header: 6,
    _duplicate_column: 6,
    _line_ends: 16,
    _bom_twice: 2,
    _separator: 10,
    _mixed_separators: 6,
    _little: 12,
    _utf16: 8,
    _noise: 16,
    _flipped: 40,
    _json: 12,
    _json_of_another_shape: 4,
    _packed: 16,
    _packed_well: 2,
    _parquet: 14,
    _broken_parquet: 8,
    _odd_parquet: 4,
}


def hostile_files(seed: int) -> list[HostileFile]:
    """All of them; the same seed gives the same bytes."""
    files = []
    for make, n in KINDS.items():
        for _ in range(n):
            number = len(files)
            rng = random.Random(f"{seed}-{number}")
            suffix, content = make(f"f{number:03d}", rng)
            name = f"f{number:03d}{make.__name__}{suffix}"
            files.append(HostileFile(name, content, n_rows(name, content)))
    return files


def n_rows(name: str, content: bytes) -> int:
    """How many rows a file that can be read holds, counted without Spark."""
    try:
        if name.endswith(".gz"):
            content = gzip.decompress(content)
        elif content.startswith(b"PAR1"):
            return pq.ParquetFile(io.BytesIO(content)).metadata.num_rows
    except (OSError, EOFError, ValueError):
        return 0
    lines = re.split(rb"\r\n|\n|\r", content.removeprefix(b"\xef\xbb\xbf"))
    lines = [line for line in lines if line.strip(b" ")]
    return (
        sum(line != lines[0] for line in lines) if not lines or not lines[0].startswith(b"{") else len(lines)
    )
