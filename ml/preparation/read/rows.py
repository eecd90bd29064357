"""Columns that readers of all formats have in common."""

from __future__ import annotations

import re

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.detect.partitions import DATE, DATE_PARTS, NULL_VALUE


def joined_time(day: Column, clock: Column) -> Column:
    """A time from its date and its time of day; null if there is no date."""
    return F.when(F.octet_length(F.trim(day)) > 0, F.trim(F.concat_ws(" ", F.trim(day), F.trim(clock))))


def decoded(path: Column) -> Column:
    """A path without percent-encoding. Spark leaves "+", which url_decode would turn into a space."""
    return F.url_decode(F.replace(path, F.lit("+"), F.lit("%2B")))


def partition_value(key: str) -> Column:
    """The value of a partition key in the path ``source``; null if there is none.

    ``date`` is also the day of folders ``year=2026/month=11/day=23/``.
    """
    if key != DATE:
        return _value(key)
    year, month, day = map(_value, DATE_PARTS)
    parts = F.concat_ws("-", year, F.lpad(month, 2, "0"), F.lpad(day, 2, "0"))
    return F.coalesce(_value(key), F.when(year.isNotNull() & month.isNotNull() & day.isNotNull(), parts))


def _value(key: str) -> Column:
    # Hive encodes the characters of a value that a file name cannot hold, and Spark encodes the path.
    value = decoded(F.regexp_extract(decoded(F.col("source")), f"/{re.escape(key)}=([^/]*)/", 1))
    return F.when((F.octet_length(value) > 0) & (value != NULL_VALUE), value)
