"""Reader of delimited text: one row per line; every line gives a row.

Lines without a quote are split by a native expression; only lines with a quote go through Spark's CSV
parser, which is ten times slower. A row ends at the end of its line. Files in which quoted fields have line
breaks are read by :mod:`ml.preparation.read.multiline`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.detect.encoding import REPLACEMENT
from ml.preparation.detect.layout import ENCODINGS, QUOTE, SPACES, TextLayout
from ml.preparation.detect.lists import BETWEEN_ELEMENTS
from ml.preparation.read.rows import joined_time, partition_value
from ml.preparation.spark.storage import literal_path

MAX_LINE_BYTES = 1024 * 1024  # longer lines are not parsed
# Spark's CSV parser fails the job, instead of marking the row as corrupt, beyond 20,480 columns.
MAX_QUOTED_SEPARATORS = 20_000

_UTF_8 = "utf-8"
# With these separators quotes come in pairs. Others are often written without quoting, where `"` can be an
# inch mark: there, only a quote at the start of a field needs its counterpart.
_PAIRED_QUOTES = (",", ";", "|")


def read_lines(spark: SparkSession, uris: Sequence[str], line: Column | None = None) -> DataFrame:
    """Lines that are not blank.

    Args:
        spark: the session.
        uris: the files.
        line: the line, from the column ``value`` (default: as it is).

    Returns:
        ``raw``: the line; ``source``: its file, URL-encoded; ``is_start``: whether it is in the first part of
        its file.
    """
    lines = spark.read.text([literal_path(uri) for uri in uris])  # Hadoop's reader skips a byte order mark
    is_start = (F.col("_metadata.file_block_start") == 0).alias("is_start")
    raw = (F.col("value") if line is None else line).alias("raw")
    named = lines.select(raw, F.col("_metadata.file_path").alias("source"), is_start)
    return named.where(F.octet_length(F.trim("raw")) > 0)


def is_too_long() -> Column:
    """Whether ``raw`` is too long to be parsed."""
    return F.octet_length("raw") > MAX_LINE_BYTES


def read_text(
    spark: SparkSession, uris: Sequence[str], layout: TextLayout, skipped: Sequence[str] = ()
) -> DataFrame:
    """Rows of files with the same layout; the columns are those of :mod:`ml.preparation.read.events`.

    Args:
        spark: the session.
        uris: the files.
        layout: their layout.
        skipped: the first `skip_lines` lines of the files that are not blank.
    """
    # A UTF-8 header with invalid bytes is decoded as detection has done it.
    line = decoded_line(layout.encoding, is_strict=REPLACEMENT not in (layout.header or ""))
    lines = read_lines(spark, uris, line).where(_is_row(layout, skipped))
    fields = lines.select("raw", "source", _fields(layout).alias("fields"))
    is_complete = F.coalesce(F.size("fields") == layout.n_columns, F.lit(False))
    problem = (
        F.when(is_too_long(), "line_too_long")
        .when(_is_unbalanced(layout), "unbalanced_quotes")
        .when(~is_complete, "unparsable_row")
    )
    return fields_to_rows(fields.withColumn("problem", problem), layout)


def fields_to_rows(fields: DataFrame, layout: TextLayout) -> DataFrame:
    """The columns of :mod:`ml.preparation.read.events` from ``raw``, ``source``, ``problem``, ``fields``."""

    def field(position: int | None) -> Column:
        if position is None:
            return F.lit(None).cast("string")
        if position >= layout.n_columns:
            return partition_value(layout.partitions[position - layout.n_columns])
        return F.get("fields", F.lit(position))

    time, item = field(layout.time), field(layout.item)
    if layout.has_item_lists:
        elements = F.filter(F.split(item, BETWEEN_ELEMENTS), lambda each: each != "")
        item = F.explode_outer(elements)
    return fields.select(
        "raw",
        "source",
        "problem",
        field(layout.user).alias("user"),
        item.alias("item"),
        (time if layout.clock is None else joined_time(time, field(layout.clock))).alias("time"),
        field(layout.value).alias("value"),
    )


def split_pattern(separator: str) -> str:
    """Java's pattern of a separator; one character stays on the fast path of ``String.split``."""
    if separator == SPACES:
        return " +"
    return "".join(f"\\{each}" if each in r".$|()[]{}^?*+\\" else each for each in separator)


def csv_options(layout: TextLayout) -> dict[str, str]:
    """Options of Spark's CSV parser that keep the text of a row which it cannot parse as ``broken``."""
    quote = layout.quote or "\0"
    return {
        "sep": layout.separator,
        "quote": quote,
        "escape": quote if layout.escape == QUOTE else layout.escape,
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "broken",
    }


def csv_columns(layout: TextLayout) -> list[str]:
    """Names for the columns of a layout in Spark's CSV parser."""
    return [f"c{position}" for position in range(layout.n_columns)]


def decoded_line(encoding: str, *, is_strict: bool = True) -> Column | None:
    """The line from the column ``value`` in an encoding; None if Spark's reader decodes it.

    Args:
        encoding: a key of ENCODINGS.
        is_strict: for UTF-8, whether invalid bytes may be decoded in another way than in detection.
    """
    if encoding == _UTF_8 and is_strict:
        return None
    return F.decode(F.col("value").cast("binary"), ENCODINGS[encoding].java)


def _is_row(layout: TextLayout, skipped: Sequence[str]) -> Column:
    """Whether a line is neither a header, which may occur anywhere, nor a comment, nor skipped."""
    raw = F.col("raw")
    is_row = F.lit(True) if layout.header is None else raw != F.lit(layout.header)
    if layout.comment is not None:
        is_row = is_row & ~raw.startswith(layout.comment)
    return is_row & ~(F.col("is_start") & raw.isin(list(skipped))) if skipped else is_row


def _fields(layout: TextLayout) -> Column:
    """The fields of ``raw`` as array<string>; null if it cannot be parsed."""
    raw = F.trim("raw") if layout.separator == SPACES else F.col("raw")
    plain = F.when(~is_too_long(), F.split(raw, split_pattern(layout.separator), -1))
    if layout.quote is None:
        return plain
    columns = csv_columns(layout)
    schema = ", ".join(f"{column} string" for column in [*columns, "broken"])
    row = F.from_csv("raw", schema, csv_options(layout))
    is_narrow = _occurrences(F.col("raw"), layout.separator) <= MAX_QUOTED_SEPARATORS
    quoted = F.when(row["broken"].isNull(), F.array(*(row[column] for column in columns)))
    quoted = F.when(~is_too_long() & is_narrow, quoted)
    return F.when(F.col("raw").contains(layout.quote), quoted).otherwise(plain)


def _occurrences(text: Column, part: str) -> Column:
    """Number of occurrences of a part in a text."""
    n_bytes = F.octet_length(text) - F.octet_length(F.replace(text, F.lit(part), F.lit("")))
    return n_bytes if len(part.encode()) == 1 else n_bytes / len(part.encode())


def _is_unbalanced(layout: TextLayout) -> Column:
    """Whether the line has an opening or closing quote without its counterpart."""
    if layout.quote is None:
        return F.lit(False)
    raw = F.col("raw")
    quotes = raw
    if layout.escape != layout.quote:
        for escaped in (layout.escape * 2, layout.escape + layout.quote):
            quotes = F.replace(quotes, F.lit(escaped), F.lit(""))
    is_odd = raw.contains(layout.quote) & (_occurrences(quotes, layout.quote) % 2 == 1)
    if layout.separator in _PAIRED_QUOTES:
        return is_odd
    return is_odd & raw.rlike(f"(^|{re.escape(layout.separator)}){re.escape(layout.quote)}")
