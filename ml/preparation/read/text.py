"""Reader of delimited text: one row per line; every line gives a row.

Lines without a quote are split by a native expression; only lines with a quote go through Spark's CSV
parser, which is ten times slower. A row ends at the end of its line: a quoted field that contains a line
break gives two unusable rows (``docs/adr/0008-from-raw-files-to-checked-events.md``).
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.detect.layout import QUOTE, TextLayout
from ml.preparation.spark.storage import literal_path

MAX_LINE_BYTES = 1024 * 1024  # longer lines are not parsed
# Spark's CSV parser fails the job, instead of marking the row as corrupt, beyond 20,480 columns.
MAX_QUOTED_SEPARATORS = 20_000

_REPLACEMENT = "\ufffd"


def read_lines(spark: SparkSession, uris: Sequence[str], header: str | None = None) -> DataFrame:
    """Lines that are neither blank nor the header.

    Returns:
        ``raw``: the line; ``source``: its file, URL-encoded; both strings.
    """
    line = F.col("value")  # Hadoop's reader skips a byte order mark
    if header is not None and _REPLACEMENT in header:
        line = F.decode(line.cast("binary"), "UTF-8")  # a header with invalid UTF-8, decoded as `header` was
    lines = spark.read.text([literal_path(uri) for uri in uris])
    named = lines.select(line.alias("raw"), F.col("_metadata.file_path").alias("source"))
    is_row = F.octet_length(F.trim("raw")) > 0
    if header is not None:
        is_row = is_row & (F.col("raw") != F.lit(header))
    return named.where(is_row)


def is_too_long() -> Column:
    """Whether ``raw`` is too long to be parsed."""
    return F.octet_length("raw") > MAX_LINE_BYTES


def read_text(spark: SparkSession, uris: Sequence[str], layout: TextLayout) -> DataFrame:
    """Rows of files with the same layout; the columns are those of :mod:`ml.preparation.read.events`."""
    lines = read_lines(spark, uris, layout.header)
    fields = lines.select("raw", "source", _fields(layout).alias("fields"))
    is_complete = F.coalesce(F.size("fields") == layout.n_columns, F.lit(False))
    problem = (
        F.when(is_too_long(), "line_too_long")
        .when(_is_unbalanced(layout), "unbalanced_quotes")
        .when(~is_complete, "unparsable_row")
    )
    return fields.select(
        "raw",
        "source",
        problem.alias("problem"),
        _field(layout.user).alias("user"),
        _field(layout.item).alias("item"),
        _field(layout.time).alias("time"),
        _field(layout.value).alias("value"),
    )


def _field(position: int | None) -> Column:
    return F.lit(None).cast("string") if position is None else F.get("fields", F.lit(position))


def _fields(layout: TextLayout) -> Column:
    """The fields of ``raw`` as array<string>; null if it cannot be parsed."""
    separator = layout.separator
    plain = F.when(~is_too_long(), F.split("raw", separator, -1))
    if layout.quote is None:
        return plain
    columns = [f"c{position}" for position in range(layout.n_columns)]
    schema = ", ".join(f"{column} string" for column in [*columns, "broken"])
    options = {
        "sep": separator,
        "escape": QUOTE,
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "broken",
    }
    row = F.from_csv("raw", schema, options)
    is_narrow = _occurrences(separator) <= MAX_QUOTED_SEPARATORS
    quoted = F.when(row["broken"].isNull(), F.array(*(row[column] for column in columns)))
    quoted = F.when(~is_too_long() & is_narrow, quoted)
    return F.when(_has_quote(), quoted).otherwise(plain)


def _occurrences(character: str) -> Column:
    """Number of occurrences in ``raw`` of a character of one byte."""
    return F.octet_length("raw") - F.octet_length(F.replace("raw", F.lit(character), F.lit("")))


def _has_quote() -> Column:
    return F.col("raw").contains(QUOTE)


def _is_unbalanced(layout: TextLayout) -> Column:
    """Whether the line has an opening or closing quote without its counterpart.

    In CSV quotes come in pairs. TSV is often written without quoting, where ``"`` can be an inch mark: there,
    only a quote at the start of a field needs its counterpart.
    """
    if layout.quote is None:
        return F.lit(False)
    is_odd = _has_quote() & (_occurrences(QUOTE) % 2 == 1)
    return is_odd if layout.separator == "," else is_odd & F.col("raw").rlike('(^|\t)"')
