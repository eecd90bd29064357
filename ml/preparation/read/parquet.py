"""Reader of Parquet files with columns of any type that can hold an id, a time or a weight."""

from __future__ import annotations

from collections.abc import Sequence

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
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
from ml.preparation.detect.layout import ParquetLayout
from ml.preparation.errors import InputError, root_cause
from ml.preparation.read.numbers import without_exponent
from ml.preparation.spark.storage import literal_path

_UNSUPPORTED = (ArrayType, MapType, StructType, BooleanType)
_NANOSECONDS = 1_000_000_000
_MAX_EXACT = 2.0**53  # integers up to this are exact in a double


def read_parquet(
    spark: SparkSession, uris: Sequence[str], layout: ParquetLayout, names: ColumnNames
) -> DataFrame:
    """Rows of files with the same schema; the columns are those of :mod:`ml.preparation.read.events`.

    Raises:
        InputError: a column is missing, or its type cannot hold an id, a time or a weight.
    """
    try:
        table = spark.read.parquet(*[literal_path(uri) for uri in uris])
    except (AnalysisException, Py4JJavaError) as error:
        raise InputError(f"{uris[0]}: cannot be read as Parquet: {root_cause(error)}") from error
    positions = require_columns(find_columns(table.columns, names), table.columns, names, uris[0])
    found = {role: table.columns[position] for role, position in positions.items() if position is not None}
    for name in found.values():
        if isinstance(table.schema[name].dataType, _UNSUPPORTED):
            kind = table.schema[name].dataType.simpleString()
            raise InputError(f"{uris[0]}: column {name!r} is {kind}; give text, numbers or timestamps")

    def text_of(role: str) -> Column:
        if role not in found:
            return F.lit(None).cast("string")
        name = found[role]
        kind = table.schema[name].dataType
        if role == "time":
            return _time_text(table[f"`{name}`"], kind, is_nanoseconds=name in layout.nanosecond_columns)
        return _text(table[f"`{name}`"], kind)

    used = F.to_json(F.struct(*(table[f"`{name}`"] for name in dict.fromkeys(found.values()))))
    return table.select(
        used.alias("raw"),
        F.col("_metadata.file_path").alias("source"),
        F.lit(None).cast("string").alias("problem"),
        *(text_of(role).alias(role) for role in ("user", "item", "time", "value")),
    )


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
