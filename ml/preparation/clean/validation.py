"""Validation of raw events: types, and a quarantine reason for each event that cannot be used."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import MAX_ID_BYTES
from ml.preparation.clean.ids import bad_character_reason, canonical_id, has_bad_character
from ml.preparation.clean.weights import event_weight, missing_weight_reason
from ml.preparation.detect.times import MAX_TIME_S, MIN_TIME_S
from ml.settings.preparation import WeightSettings

_NUMBER = r"^[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?$"
_ISO_8601 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MAX_RAW_CHARACTERS = 200


def validate_events(events: DataFrame, weights: WeightSettings) -> DataFrame:
    """Convert raw events to their types and give each event that cannot be used a reason.

    Args:
        events: as :mod:`ml.preparation.read.events` returns them.
        weights: how the weight of an event is determined.

    Returns:
        ``user_id``, ``item_id``: string; ``timestamp``: int64, Unix seconds, truncated; ``weight``: double;
        ``reason``: string, null for a usable event; ``source``: the file, and ``raw``: the first
        characters of the row, both null for a usable event.
    """
    typed = events.select(
        "raw",
        "source",
        "problem",
        canonical_id(F.col("user")).alias("user_id"),
        canonical_id(F.col("item")).alias("item_id"),
        F.trim("time").alias("time"),
        event_weight(F.col("value"), weights).alias("weight"),
    )
    timed = typed.withColumn("timestamp", _unix_seconds())
    validated = timed.withColumn("reason", _reason(weights))
    is_unusable = F.col("reason").isNotNull()
    # Spark percent-encodes the path, but leaves "+" as it is, which url_decode would turn into a space.
    source = F.url_decode(F.replace("source", F.lit("+"), F.lit("%2B")))
    return validated.select(
        "user_id",
        "item_id",
        "timestamp",
        "weight",
        "reason",
        F.when(is_unusable, source).alias("source"),
        F.when(is_unusable, F.substring("raw", 1, _MAX_RAW_CHARACTERS)).alias("raw"),
    )


def usable_events(validated: DataFrame) -> DataFrame:
    """The events without a quarantine reason: ``user_id``, ``item_id``, ``timestamp``, ``weight``."""
    is_usable = F.col("reason").isNull()
    return validated.where(is_usable).select("user_id", "item_id", "timestamp", "weight")


def _unix_seconds() -> Column:
    """Unix seconds from the text ``time``; plain digits first, since they are common and cheap to parse."""
    # try_cast returns null instead of an error, also on a cluster in ANSI mode.
    digits = F.expr("try_cast(time as bigint)")
    number = F.expr("try_cast(try_cast(time as double) as bigint)")
    moment = F.expr("try_cast(try_cast(time as timestamp) as bigint)")
    other = F.when(F.col("time").rlike(_NUMBER), number).when(F.col("time").rlike(_ISO_8601), moment)
    return F.coalesce(digits, other)


def _reason(weights: WeightSettings) -> Column:
    def is_missing(column: str) -> Column:
        return F.coalesce(F.octet_length(column), F.lit(0)) == 0

    ids = (F.col("user_id"), F.col("item_id"))
    longest_id = F.greatest(F.octet_length("user_id"), F.octet_length("item_id"))
    is_in_range = F.col("timestamp").between(MIN_TIME_S, MAX_TIME_S - 1)
    return (
        F.when(F.col("problem").isNotNull(), F.col("problem"))
        .when(is_missing("user_id"), "missing_user")
        .when(is_missing("item_id"), "missing_item")
        .when(is_missing("time"), "missing_time")
        .when(has_bad_character(*ids), bad_character_reason(*ids))
        .when(longest_id > MAX_ID_BYTES, "id_too_long")
        .when(F.col("timestamp").isNull(), "unparsable_time")
        .when(~is_in_range, "time_out_of_range")
        .when(F.col("weight").isNull(), missing_weight_reason(weights))
    )
