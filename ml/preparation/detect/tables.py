"""Samples of columnar files (Parquet, ORC), read with pyarrow, and the columns of an Avro file."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

from ml.preparation.detect.input_error import InputError
from ml.preparation.detect.json_rows import sample_objects
from ml.preparation.detect.samples import Samples

_ROWS = 4_000
_NAMES = {b"PAR1": "Parquet", b"ORC": "ORC"}
AVRO_MAGIC = b"Obj\x01"


def columnar_format(head: bytes) -> str | None:
    """Name of a columnar format, by the first bytes of a file."""
    return next((name for magic, name in _NAMES.items() if head.startswith(magic)), None)


def sample_table(path: Path, kind: str, *, is_nested: bool = False) -> tuple[Samples, int]:
    """The first rows of a file, with times as ISO 8601, and the number of all its rows.

    Args:
        path: the file.
        kind: of `columnar_format`.
        is_nested: whether values inside of structs and lists are columns, with their path.

    Raises:
        InputError: the file is damaged.
    """
    import pyarrow as pa  # noqa: PLC0415 (a third of a second that text does not need)

    try:
        columns, rows, n_rows = _read(path, kind)
    except (OSError, pa.ArrowException) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as {kind}: {cause}") from error
    if is_nested:
        return sample_objects([dict(zip(columns, map(_plain, row))) for row in rows]), n_rows
    texts = [["" if value is None else _text(value) for value in row] for row in rows]
    return Samples(columns, texts), n_rows


def avro_columns(head: bytes) -> list[str]:
    """Names of the columns in the header of an Avro file (Avro specification, object container files).

    Raises:
        ValueError: the header is damaged, or longer than `head`; the rows are no records.
    """
    position = len(AVRO_MAGIC)

    def integer() -> int:
        nonlocal position
        value, shift = 0, 0
        while True:
            byte = head[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return (value >> 1) ^ -(value & 1)

    def content() -> bytes:
        nonlocal position
        length = integer()
        position += length
        return head[position - length : position]

    try:
        for _ in range(abs(integer())):
            key, value = content(), content()
            if key == b"avro.schema":
                return [str(field["name"]) for field in json.loads(value)["fields"]]
    except (IndexError, KeyError, TypeError) as error:
        raise ValueError("no columns in its header") from error
    raise ValueError("no columns in its header")


def _read(path: Path, kind: str) -> tuple[list[str], list[tuple[Any, ...]], int]:
    if kind == "Parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415

        file = pq.ParquetFile(path)
        batches = file.iter_batches(batch_size=_ROWS) if file.metadata.num_rows else iter(())
        table = next(islice(batches, 1), None)
        columns, n_rows = file.schema_arrow.names, file.metadata.num_rows
    else:
        from pyarrow import orc  # noqa: PLC0415

        content = orc.ORCFile(path)
        table = content.read_stripe(0) if content.nstripes else None
        columns, n_rows = content.schema.names, content.nrows
    if table is None:
        return columns, [], n_rows
    head = table.slice(0, _ROWS)
    return columns, list(zip(*(_values(head.column(name)) for name in range(len(columns))))), n_rows


def _values(column: Any) -> list[Any]:
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):  # a time that Python cannot hold
        return list(column.cast("string").to_pylist())


def _plain(value: Any) -> Any:
    """A nested value with texts in it, as in JSON."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if value is None else _text(value)


def _text(value: Any) -> str:
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
