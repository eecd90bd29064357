"""Reader of Parquet and ORC files with columns of any type that can hold an id, a time or a weight.

Only the columns that are needed are read, so that the types of the others do not matter.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    MapType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from ml.preparation.detect.columns import ColumnNames, find_columns, require_columns
from ml.preparation.detect.layout import TableLayout
from ml.preparation.errors import InputError
from ml.preparation.read.nested import nested_paths, select_values, type_at
from ml.preparation.read.numbers import without_exponent
from ml.preparation.read.rows import joined_time, partition_value
from ml.preparation.spark.storage import literal_path
from ml.preparation.spark.table_schema import TableSchema

_UNSUPPORTED = (ArrayType, MapType, StructType, BooleanType)
_NANOSECONDS = 1_000_000_000
_MAX_EXACT = 2.0**53  # integers up to this are exact in a double


def table_layout(found: TableSchema, names: ColumnNames, partitions: Sequence[str], uri: str) -> TableLayout:
    """The needed columns of a file with this schema.

    Args:
        found: the file's schema.
        names: the columns that are needed.
        partitions: keys of the folders on the file's path that are needed columns.
        uri: the file, for messages.

    Raises:
        InputError: a column is missing, or its type cannot hold an id, a time or a weight.
    """
    own = [*found.schema.names, *found.unsupported, *nested_paths(found.schema)]
    partitions = [each for each in partitions if each not in own]
    columns = [*own, *partitions]
    positions = require_columns(find_columns(columns, names), columns, names, uri)
    paths: dict[str, Any] = {
        role: columns[position] for role, position in positions.items() if position is not None
    }
    used: dict[str, None] = {}
    for path in paths.values():
        if path in partitions:
            continue
        kind = found.unsupported.get(path)
        column_type = type_at(found.schema, path)
        if kind is None and (column_type is None or isinstance(column_type, _UNSUPPORTED)):
            kind = column_type.simpleString() if column_type is not None else "of an unknown type"
        if kind is not None:
            raise InputError(f"{uri}: column {path!r} is {kind}; give text, numbers or timestamps")
        used[_root(found.schema, path)] = None
    schema = StructType([found.schema[name] for name in used])
    return TableLayout(
        found.format,
        **{"time": None, **paths},
        partitions=tuple(each for each in partitions if each in paths.values()),
        schema=json.dumps(schema.jsonValue()),
        nanosecond_columns=tuple(name for name in used if name in found.nanosecond_columns),
    )


def read_table(spark: SparkSession, uris: Sequence[str], layout: TableLayout) -> DataFrame:
    """Rows of files with the same layout; the columns are those of :mod:`ml.preparation.read.events`.

    Raises:
        InputError: two columns are in different lists.
    """
    schema = StructType.fromJson(json.loads(layout.schema))
    table = spark.read.schema(schema).format(layout.format).load([literal_path(uri) for uri in uris])
    safe = {name: f"c{number}" for number, name in enumerate(schema.names)}  # names without special meaning
    chosen = (layout.user, layout.item, layout.time, layout.value, layout.clock)
    paths = {path: _root(schema, path) for path in chosen if path is not None and path in _paths(schema)}
    columns = (F.col(f"`{name.replace('`', '``')}`").alias(each) for name, each in safe.items())
    table = table.select(F.col("_metadata.file_path").alias("source"), *columns)
    renamed = {path: f"{safe[root]}{path[len(root) :]}" for path, root in paths.items()}
    rows, values = select_values(table, None, list(renamed.values()), ["source"], uris[0])
    by_path = {path: values[name] for path, name in renamed.items()}

    def text_of(path: str | None, *, is_time: bool = False) -> Column:
        if path is None:
            return F.lit(None).cast("string")
        if path not in by_path:
            return partition_value(path)
        kind = type_at(schema, path)
        assert kind is not None  # noqa: S101 (table_layout has found it)
        if is_time:
            return _time_text(by_path[path], kind, is_nanoseconds=path in layout.nanosecond_columns)
        return _text(by_path[path], kind)

    if layout.clock is None:
        time = text_of(layout.time, is_time=True)
    else:
        time = joined_time(text_of(layout.time), text_of(layout.clock))
    used = F.to_json(F.struct(*(value.alias(path) for path, value in by_path.items())))
    return rows.select(
        used.alias("raw"),
        "source",
        F.lit(None).cast("string").alias("problem"),
        text_of(layout.user).alias("user"),
        text_of(layout.item).alias("item"),
        time.alias("time"),
        text_of(layout.value).alias("value"),
    )


def _paths(schema: StructType) -> set[str]:
    return {*schema.names, *nested_paths(schema)}


def _root(schema: StructType, path: str) -> str:
    """The top-level column of a path; names may have dots."""
    if path in schema.names:
        return path
    return max((name for name in schema.names if path.startswith((f"{name}.", f"{name}[]"))), key=len)


def _text(column: Column, kind: DataType) -> Column:
    """Text of an id or a weight. pandas stores integer ids next to nulls as floats: 7.0 becomes "7"."""
    if isinstance(kind, DecimalType):
        return F.when(column == 0, "0").otherwise(column.cast("string"))  # Java writes 0E-9 for nine decimals
    if not isinstance(kind, (DoubleType, FloatType)):
        return column.cast("string")
    number = column.cast("double")
    is_whole = (number == F.floor(number)) & (F.abs(number) <= _MAX_EXACT)
    text = without_exponent(column.cast("string"), is_number=F.lit(True))
    return F.when(is_whole, number.cast("bigint").cast("string")).otherwise(text)


def _time_text(column: Column, kind: DataType, *, is_nanoseconds: bool) -> Column:
    """Unix seconds as text, from a timestamp, a date or a number; text is returned unchanged."""
    if is_nanoseconds:
        return ((column - F.pmod(column, F.lit(_NANOSECONDS))) / _NANOSECONDS).cast("bigint").cast("string")
    if isinstance(kind, (TimestampType, TimestampNTZType, DateType)):
        return column.cast("timestamp").cast("bigint").cast("string")
    return column.cast("string")
