"""Samples of columnar files (Parquet, ORC, Feather), read with pyarrow."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from ml.preparation.detect.input_error import InputError
from ml.preparation.detect.samples import Samples

_ROWS = 4_000
_NAMES = {b"PAR1": "Parquet", b"ORC": "ORC", b"ARROW1": "Feather", b"FEA1": "Feather"}


def columnar_format(head: bytes) -> str | None:
    """Name of a columnar format, by the first bytes of a file."""
    return next((name for magic, name in _NAMES.items() if head.startswith(magic)), None)


def sample_table(path: Path, kind: str) -> tuple[Samples, int]:
    """The first rows of a file, with times as ISO 8601, and the number of all its rows.

    Raises:
        InputError: the file is damaged.
    """
    import pyarrow as pa  # noqa: PLC0415 (a third of a second that text does not need)

    try:
        columns, rows, n_rows = _read(path, kind)
    except (OSError, pa.ArrowException) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as {kind}: {cause}") from error
    texts = [["" if value is None else _text(value) for value in row] for row in rows]
    return Samples(columns, texts), n_rows


def _read(path: Path, kind: str) -> tuple[list[str], list[tuple[Any, ...]], int]:
    if kind == "Parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415

        file = pq.ParquetFile(path)
        batches = file.iter_batches(batch_size=_ROWS) if file.metadata.num_rows else iter(())
        table = next(islice(batches, 1), None)
        columns, n_rows = file.schema_arrow.names, file.metadata.num_rows
    elif kind == "ORC":
        from pyarrow import orc  # noqa: PLC0415

        content = orc.ORCFile(path)
        table = content.read_stripe(0) if content.nstripes else None
        columns, n_rows = content.schema.names, content.nrows
    else:
        from pyarrow import feather  # noqa: PLC0415

        whole = feather.read_table(path, memory_map=True)
        table, columns, n_rows = whole, whole.schema.names, whole.num_rows
    if table is None:
        return columns, [], n_rows
    head = table.slice(0, _ROWS)
    return columns, list(zip(*(_values(head.column(name)) for name in range(len(columns))))), n_rows


def _values(column: Any) -> list[Any]:
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):  # a time that Python cannot hold
        return list(column.cast("string").to_pylist())


def _text(value: Any) -> str:
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
