"""Detection of a source file's format from its first bytes."""

from __future__ import annotations

from ml.settings.preparation import ReadSettings

HEAD_BYTES = 64 * 1024  # read from each file, decompressed
PARQUET_MAGIC = b"PAR1"

ORC_MAGIC = b"ORC"

BYTE_ORDER_MARK = "\ufeff"


def detect_format(head: bytes) -> str:
    """``parquet``, ``orc``, ``jsonl``, or ``text`` for any other file of lines."""
    if head.startswith(PARQUET_MAGIC):
        return "parquet"
    if head.startswith(ORC_MAGIC):
        return "orc"
    text = head.decode("utf-8", errors="replace").lstrip(f"{BYTE_ORDER_MARK} \t\r\n")
    return "jsonl" if text.startswith("{") else "text"


def format_of(head: bytes, read: ReadSettings) -> str:
    """The format of a file: as configured, or detected; text with a configured separator is no JSON."""
    if read.format != "auto":
        return read.format
    detected = detect_format(head)
    return "text" if detected == "jsonl" and read.separator is not None else detected
