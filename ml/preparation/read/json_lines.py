"""Reader of JSON lines: one flat object per line; every line gives a row."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)
from pyspark.sql.types import ArrayType, StringType, StructType

from ml.preparation.detect.layout import JsonLayout
from ml.preparation.read.numbers import without_exponent
from ml.preparation.read.text import is_too_long, read_lines


def read_json_lines(spark: SparkSession, uris: Sequence[str], layout: JsonLayout) -> DataFrame:
    """Rows of files with the same keys; the columns are those of :mod:`ml.preparation.read.events`."""
    lines = read_lines(spark, uris)
    keys = [key for key in (layout.user, layout.item, layout.time, layout.value) if key is not None]
    object_schema = StructType()
    for key in dict.fromkeys(keys):
        object_schema = object_schema.add(key, StringType())
    # Parsed as a one-element array, because Spark ignores any text after an object.
    array = F.when(~is_too_long(), F.concat(F.lit("["), "raw", F.lit("]")))
    parsed = lines.select("raw", "source", F.from_json(array, ArrayType(object_schema)).alias("objects"))
    only = F.get("objects", F.lit(0))

    def value_of(key: str | None) -> Column:
        return F.lit(None).cast("string") if key is None else only.getField(key)

    def id_of(key: str) -> Column:
        value = value_of(key)
        is_text = F.col("raw").contains(F.concat(F.lit('"'), value, F.lit('"')))
        return without_exponent(value, is_number=~is_text)

    trimmed = F.trim("raw")
    is_object = trimmed.startswith("{") & trimmed.endswith("}") & (F.size("objects") == 1) & only.isNotNull()
    problem = (
        F.when(is_too_long(), "line_too_long")
        .when(~F.coalesce(is_object, F.lit(False)), "unparsable_row")
        .when(_is_nested(value_of(layout.user)) | _is_nested(value_of(layout.item)), "nested_id")
    )
    return parsed.select(
        "raw",
        "source",
        problem.alias("problem"),
        id_of(layout.user).alias("user"),
        id_of(layout.item).alias("item"),
        *(value_of(getattr(layout, role)).alias(role) for role in ("time", "value")),
    )


def _is_nested(value: Column) -> Column:
    """Whether an id is an object or an array, which Spark returns as JSON text."""
    return F.coalesce(value.startswith("{") | value.startswith("["), F.lit(False))
