"""Reader of JSON lines: one object per line; every line gives a row, or one per element of a list."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)
from pyspark.sql.types import ArrayType, StringType

from ml.preparation.detect.layout import JsonLayout
from ml.preparation.read.nested import ELEMENT, has_list, select_values, text_schema
from ml.preparation.read.numbers import without_exponent
from ml.preparation.read.rows import joined_time, partition_value
from ml.preparation.read.text import MAX_LINE_BYTES, decoded_line, is_too_long, read_lines

_MAX_RAW_CHARACTERS = 1_000  # of a line with a list


def read_json_lines(spark: SparkSession, uris: Sequence[str], layout: JsonLayout) -> DataFrame:
    """Rows of files with the same layout; the columns are those of :mod:`ml.preparation.read.events`.

    Raises:
        InputError: two columns are in different lists.
    """
    chosen = (layout.user, layout.item, layout.time, layout.value, layout.clock)
    paths = list(dict.fromkeys(path for path in chosen if path is not None and path not in layout.partitions))
    lines = read_lines(spark, uris, decoded_line(layout.encoding))
    source = lines.select("raw", "source", F.col("raw").alias("json"))
    if layout.is_python:
        source = lines.select("raw", "source", F.udf(python_to_json, StringType())("raw").alias("json"))
    # Parsed as a one-element array, because Spark ignores any text after an object.
    array = F.when(~is_too_long(), F.concat(F.lit("["), "json", F.lit("]")))
    objects = F.from_json(array, ArrayType(text_schema(paths)))
    parsed = source.select("raw", "source", "json", objects.alias("objects"))
    only = F.get("objects", F.lit(0))
    trimmed = F.trim("json")
    is_object = trimmed.startswith("{") & trimmed.endswith("}") & (F.size("objects") == 1) & only.isNotNull()
    problem = F.when(is_too_long(), "line_too_long").when(
        ~F.coalesce(is_object, F.lit(False)), "unparsable_row"
    )
    rows = parsed.withColumn("problem", problem)
    if is_list := has_list(paths):
        # A line repeated per element would be large.
        rows = rows.withColumn("raw", F.substring("raw", 1, _MAX_RAW_CHARACTERS))
    kept = ["raw", "source", "problem", *([] if is_list else ["json"])]
    rows, values = select_values(rows, only, paths, kept, uris[0])
    if is_list:
        element = F.to_json(F.struct(ELEMENT))
        is_empty = F.col("problem").isNull() & F.col(ELEMENT).isNull()
        rows = rows.withColumn("raw", F.when(F.col(ELEMENT).isNull(), F.col("raw")).otherwise(element))
        rows = rows.withColumn("problem", F.when(is_empty, "empty_list").otherwise(F.col("problem")))

    def value_of(path: str | None) -> Column:
        if path is None:
            return F.lit(None).cast("string")
        return partition_value(path) if path in layout.partitions else values[path].cast("string")

    def id_of(path: str) -> Column:
        value = value_of(path)
        is_text = F.lit(False) if is_list else F.col("json").contains(F.concat(F.lit('"'), value, F.lit('"')))
        return without_exponent(value, is_number=~is_text)

    is_nested = _is_nested(value_of(layout.user)) | _is_nested(value_of(layout.item))
    time = value_of(layout.time)
    return rows.select(
        "raw",
        "source",
        F.coalesce("problem", F.when(is_nested, "nested_id")).alias("problem"),
        id_of(layout.user).alias("user"),
        id_of(layout.item).alias("item"),
        (time if layout.clock is None else joined_time(time, value_of(layout.clock))).alias("time"),
        value_of(layout.value).alias("value"),
    )


def python_to_json(line: str | None) -> str | None:
    """The JSON of a Python literal; null if the line is none, or longer than lines may be."""
    if line is None or len(line) > MAX_LINE_BYTES:
        return None
    try:
        return json.dumps(ast.literal_eval(line.strip()), ensure_ascii=False)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _is_nested(value: Column) -> Column:
    """Whether an id is an object or an array, which Spark returns as JSON text."""
    return F.coalesce(value.startswith("{") | value.startswith("["), F.lit(False))
