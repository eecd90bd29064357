"""Texts of numbers that Spark has written with an exponent."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

# Java's Double.toString from ten million on, which Spark uses for JSON numbers and for doubles: 1.5E7. Up to
# 28 digits before the point fit into the decimal.
_WITH_EXPONENT = r"^-?[0-9]\.[0-9]+E([7-9]|1[0-9]|2[0-7])$"
_DECIMAL = "decimal(38, 9)"


def without_exponent(text: Column, *, is_number: Column) -> Column:
    """The text, or the written-out number: ``15000000`` for ``1.5E7``.

    Args:
        text: of any value.
        is_number: whether it comes from a number, and not from a text that looks like one.
    """
    is_short = text.contains("E") & text.rlike(_WITH_EXPONENT) & is_number
    written_out = F.regexp_replace(text.cast(_DECIMAL).cast("string"), r"\.?0+$", "")
    return F.when(is_short, written_out).otherwise(text)
