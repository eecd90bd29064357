"""Which events can be used, and why the others cannot."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import MAX_ID_BYTES
from ml.preparation.clean.weights import Weighing
from ml.preparation.read.text_layout import MAX_TIME_S, MIN_TIME_S

_NUMBER = r"^[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?$"
_ISO_8601 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
_REPLACEMENT = "\ufffd"  # what a byte that is not UTF-8 was read as
_NUL = "\x00"
_MAX_RAW_CHARACTERS = 200


def checked_events(events: DataFrame, weighing: Weighing) -> DataFrame:
    """Type the events of :mod:`ml.preparation.read.events` and give the unusable ones a reason.

    Returns:
        ``user_id``, ``item_id``: string; ``timestamp``: int64, Unix seconds (fractions are cut off);
        ``weight``: double; ``reason``: string, null for an event that can be used; ``source``: the file,
        and ``raw``: the start of the row as it came, both null where ``reason`` is.
    """
    typed = events.select(
        "raw",
        "source",
        "problem",
        F.trim("user").alias("user_id"),
        F.trim("item").alias("item_id"),
        F.trim("time").alias("time"),
        weighing.weight(F.col("value")).alias("weight"),
    )
    timed = typed.withColumn("timestamp", _unix_seconds())
    reasoned = timed.withColumn("reason", _reason(weighing))
    is_unusable = F.col("reason").isNotNull()
    # Spark escapes the path as a URL does, but for the plus, which stands for itself.
    source = F.url_decode(F.replace("source", F.lit("+"), F.lit("%2B")))
    return reasoned.select(
        "user_id",
        "item_id",
        "timestamp",
        "weight",
        "reason",
        F.when(is_unusable, source).alias("source"),
        F.when(is_unusable, F.substring("raw", 1, _MAX_RAW_CHARACTERS)).alias("raw"),
    )


def usable_events(checked: DataFrame) -> DataFrame:
    """The events without a reason against them: ``user_id``, ``item_id``, ``timestamp``, ``weight``."""
    return checked.where(F.col("reason").isNull()).select("user_id", "item_id", "timestamp", "weight")


def _unix_seconds() -> Column:
    """Unix seconds from ``time``: what most rows have, plain digits, is tried first, and is cheap."""
    # try_cast gives null instead of an error also where a cluster runs in ANSI mode.
    digits = F.expr("try_cast(time as bigint)")
    number = F.expr("try_cast(try_cast(time as double) as bigint)")
    moment = F.expr("try_cast(try_cast(time as timestamp) as bigint)")
    other = F.when(F.col("time").rlike(_NUMBER), number).when(F.col("time").rlike(_ISO_8601), moment)
    return F.coalesce(digits, other)


def _reason(weighing: Weighing) -> Column:
    def is_missing(column: str) -> Column:
        return F.coalesce(F.octet_length(column), F.lit(0)) == 0

    def is_in_an_id(text: str) -> Column:
        return F.col("user_id").contains(text) | F.col("item_id").contains(text)

    longest_id = F.greatest(F.octet_length("user_id"), F.octet_length("item_id"))
    return (
        F.when(F.col("problem").isNotNull(), F.col("problem"))
        .when(is_missing("user_id"), "missing_user")
        .when(is_missing("item_id"), "missing_item")
        .when(is_missing("time"), "missing_time")
        .when(is_in_an_id(_REPLACEMENT), "not_utf8")
        .when(is_in_an_id(_NUL), "nul_in_id")
        .when(longest_id > MAX_ID_BYTES, "id_too_long")
        .when(F.col("timestamp").isNull(), "unparsable_time")
        .when(~F.col("timestamp").between(MIN_TIME_S, MAX_TIME_S - 1), "time_out_of_range")
        .when(F.col("weight").isNull(), weighing.reason)
    )
