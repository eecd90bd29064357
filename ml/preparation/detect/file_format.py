"""Detection of a source file's format from its first bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ml.preparation.detect.input_error import InputError

HEAD_BYTES = 64 * 1024  # read from each file, decompressed
PARQUET_MAGIC = b"PAR1"

_BYTE_ORDER_MARK = "\ufeff"
_JSON_ARRAY = re.compile(rb"\s*\[\s*\{")
_UNSUPPORTED = {
    b"\x1f\x8b": "compressed with gzip, but its name does not end in .gz; rename it",
    b"PK\x03\x04": "a zip archive; unpack it, or compress each file with gzip",
    b"\xff\xfe": "UTF-16 text; convert it to UTF-8",
    b"\xfe\xff": "UTF-16 text; convert it to UTF-8",
}


def detect_format(head: bytes, uri: str) -> str:
    """``parquet``, ``jsonl``, or ``text`` for any other file of lines.

    Raises:
        InputError: the file has a known format that is not supported; the message names the fix.
    """
    for magic, problem in _UNSUPPORTED.items():
        if head.startswith(magic):
            raise InputError(f"{uri}: {problem}")
    if head.startswith(PARQUET_MAGIC):
        return "parquet"
    if _JSON_ARRAY.match(head):
        raise InputError(f"{uri}: a JSON array; write one object per line (JSON lines)")
    text = head.decode("utf-8", errors="replace").lstrip(f"{_BYTE_ORDER_MARK} \t\r\n")
    return "jsonl" if text.startswith("{") else "text"


def json_keys(lines: list[str], uri: str) -> list[str]:
    """The keys of the JSON objects among the first lines, in order of first appearance.

    Raises:
        InputError: no line is a JSON object.
    """
    objects = json_objects(lines)
    if not objects:
        raise InputError(f"{uri}: none of the first lines is a JSON object; write one whole object per line")
    return list(dict.fromkeys(key for each in objects for key in each))


def json_objects(lines: Sequence[str]) -> list[dict[str, Any]]:
    """The lines that are JSON objects."""
    return [found for found in map(_json_object, lines) if found is not None]


def _json_object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
