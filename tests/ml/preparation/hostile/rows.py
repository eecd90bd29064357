"""Parts of hostile files: rows that can be used, and their header."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable

HEADER = "user_id,item_id,timestamp"
MEBIBYTE = 1024 * 1024
N_USERS, N_ITEMS = 2, 6

Make = Callable[[str, random.Random], tuple[str, bytes]]  # prefix of ids, generator -> suffix, content


def usable_lines(mark: str, rng: random.Random, separator: str = ",") -> list[str]:
    """Lines of events that can be used."""
    return [
        separator.join(
            [f"{mark}-u{user}", f"i{rng.randrange(40)}", str(rng.randrange(1_500_000_000, 1_700_000_000))]
        )
        for user in range(N_USERS)
        for _ in range(N_ITEMS)
    ]


def text_with(mark: str, rng: random.Random, *bad: str, header: str = HEADER) -> str:
    """A CSV file of usable lines, with the bad lines at random positions."""
    lines = usable_lines(mark, rng)
    for line in bad:
        lines.insert(rng.randrange(len(lines) + 1), line)
    return "\n".join([header, *lines, ""])


def json_objects(mark: str, rng: random.Random) -> bytes:
    """JSON lines of usable events."""
    events = [line.split(",") for line in usable_lines(mark, rng)]
    return "".join(
        json.dumps({"user_id": user, "item_id": item, "timestamp": int(time)}) + "\n"
        for user, item, time in events
    ).encode()


def gzipped(content: bytes) -> bytes:
    """Content in gzip format, without a time stamp."""
    return gzip.compress(content, mtime=0)
