"""Reader of delimited text with line breaks in quoted fields; Spark's CSV parser reads each file in one task.

A record that the parser cannot split, usually because a quote has no counterpart, may have swallowed rows.
Each of its lines therefore counts as an unusable row.
"""

from __future__ import annotations

import csv
import operator
from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)
from pyspark.sql.types import StringType, StructType

from ml.preparation.detect.layout import ENCODINGS, TextLayout
from ml.preparation.read.text import csv_columns, csv_options, fields_to_rows, is_too_long
from ml.preparation.spark.storage import literal_path

MAX_RECORD_LINES = 1_000  # a longer record has swallowed rows
_MAX_COLUMNS = 100_000  # of a damaged record; beyond it the parser fails the job
_LINE_BREAK = "\r\n|\n|\r"


def read_multiline_text(
    spark: SparkSession, uris: Sequence[str], layout: TextLayout, skipped: Sequence[str] = ()
) -> DataFrame:
    """Rows of files with the same layout; as :func:`ml.preparation.read.text.read_text`."""
    columns = csv_columns(layout)
    schema = StructType()
    for column in [*columns, "broken"]:
        schema = schema.add(column, StringType())
    options = {
        **csv_options(layout),
        "multiLine": "true",
        "encoding": ENCODINGS[layout.encoding].java,
        "maxColumns": str(_MAX_COLUMNS),
        **({} if layout.comment is None else {"comment": layout.comment[0]}),
    }
    records = spark.read.schema(schema).options(**options).csv([literal_path(uri) for uri in uris])
    fields = F.array(*(F.col(column) for column in columns))
    plain = {key: value for key, value in options.items() if key in ("sep", "quote", "escape")}
    table = records.select(
        F.col("_metadata.file_path").alias("source"),
        "broken",
        fields.alias("fields"),
        F.to_csv(F.struct(*columns), plain).alias("text"),
    )
    rows = table.where(~_is_one_of(layout, [*([layout.header] if layout.header else []), *skipped]))
    n_lines = F.size(F.split(F.coalesce("broken", "text"), _LINE_BREAK))
    # No id and no time has a line break: a quote without a counterpart has joined the lines.
    needed = [each for each in (layout.user, layout.item, layout.time) if each is not None]
    is_joined = [F.get("fields", F.lit(each)).rlike("[\r\n]") for each in needed if each < layout.n_columns]
    swallowed = (n_lines > MAX_RECORD_LINES) | F.coalesce(
        reduce(operator.or_, (F.coalesce(each, F.lit(False)) for each in is_joined)), F.lit(False)
    )
    is_unusable = F.col("broken").isNotNull() | swallowed
    lines = F.when(is_unusable, F.split(F.coalesce("broken", "text"), _LINE_BREAK)).otherwise(F.array("text"))
    exploded = rows.select(
        "source",
        "fields",
        F.when(swallowed, "unbalanced_quotes").when(is_unusable, "unparsable_row").alias("problem"),
        F.explode(lines).alias("raw"),
    )
    checked = exploded.where(F.octet_length(F.trim("raw")) > 0)
    problem = F.coalesce(F.when(is_too_long(), "line_too_long"), F.col("problem"))
    return fields_to_rows(checked.withColumn("problem", problem), layout)


def _is_one_of(layout: TextLayout, lines: Sequence[str]) -> Column:
    """Whether a record is one of some lines."""
    found = F.lit(False)
    for line in lines:
        fields = _split(line, layout)
        is_line = F.col("broken") == line
        if len(fields) == layout.n_columns:
            is_line = F.coalesce(is_line, F.lit(False)) | (
                F.transform("fields", lambda each: F.coalesce(each, F.lit("")))
                == F.array(*map(F.lit, fields))
            )
        found = found | F.coalesce(is_line, F.lit(False))
    return found


def _split(line: str, layout: TextLayout) -> list[str]:
    if layout.quote is None or len(layout.separator) > 1:
        return line.split(layout.separator)
    return next(csv.reader([line], delimiter=layout.separator, quotechar=layout.quote), [])
