"""Which events can be used, and why the others cannot."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.layout import MAX_TIME_S, MIN_TIME_S

_NUMBER = r"^[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?$"
_ISO_8601 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
_REPLACEMENT = "\ufffd"  # what a byte that is not UTF-8 was read as
_EXAMPLE_CHARACTERS = 200


def checked_events(events: DataFrame) -> DataFrame:
    """Type the events of :mod:`ml.preparation.reading` and give the unusable ones a reason.

    Returns:
        ``user_id``, ``item_id``: string; ``timestamp``: int64, Unix seconds (fractions are cut off);
        ``reason``: string, null for an event that can be used; ``raw``: the start of the row as it
        came, null where ``reason`` is.
    """
    typed = events.select(
        "raw",
        "is_parsed",
        F.trim("user").alias("user_id"),
        F.trim("item").alias("item_id"),
        F.trim("time").alias("time"),
    )
    timed = typed.withColumn("timestamp", _unix_seconds())
    reasoned = timed.withColumn("reason", _reason())
    return reasoned.select(
        "user_id",
        "item_id",
        "timestamp",
        "reason",
        F.when(F.col("reason").isNotNull(), F.substring("raw", 1, _EXAMPLE_CHARACTERS)).alias("raw"),
    )


def usable_events(checked: DataFrame) -> DataFrame:
    """The events without a reason against them: ``user_id``, ``item_id``, ``timestamp``, ``weight``: 1."""
    weight = F.lit(1.0).alias("weight")
    return checked.where(F.col("reason").isNull()).select("user_id", "item_id", "timestamp", weight)


def _unix_seconds() -> Column:
    # try_cast gives null instead of an error also where a cluster runs in ANSI mode.
    number = F.expr("try_cast(try_cast(time as double) as bigint)")
    moment = F.expr("try_cast(try_cast(time as timestamp) as bigint)")
    return F.when(F.col("time").rlike(_NUMBER), number).when(F.col("time").rlike(_ISO_8601), moment)


def _reason() -> Column:
    def is_missing(column: str) -> Column:
        return F.coalesce(F.length(column), F.lit(0)) == 0

    is_not_utf8 = F.col("user_id").contains(_REPLACEMENT) | F.col("item_id").contains(_REPLACEMENT)
    is_in_range = F.col("timestamp").between(MIN_TIME_S, MAX_TIME_S - 1)
    return (
        F.when(~F.col("is_parsed"), "unparsable_row")
        .when(is_missing("user_id"), "missing_user")
        .when(is_missing("item_id"), "missing_item")
        .when(is_missing("time"), "missing_time")
        .when(is_not_utf8, "not_utf8")
        .when(F.col("timestamp").isNull(), "unparsable_time")
        .when(~is_in_range, "time_out_of_range")
    )
