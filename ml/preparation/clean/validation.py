"""Validation of raw events: types, and a quarantine reason for each event that cannot be used."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import MAX_ID_BYTES
from ml.preparation.clean.ids import (
    bad_character_reason,
    canonical_id,
    has_bad_character,
    is_missing,
    missing_ids,
)
from ml.preparation.clean.weights import event_weight, missing_weight_reason
from ml.preparation.detect.times import MAX_TIME_S, MIN_TIME_S
from ml.preparation.read.rows import decoded
from ml.settings.preparation import CleanSettings, WeightSettings

# Reasons of events that are left out as the settings say: they are not unusable.
LEFT_OUT = ("anonymous_user", "ignored_event_type")
NO_TIME_S = 0  # timestamp of events without times
DAY_S = 86_400  # the clocks of a shop's clients may be wrong, and local times are read as UTC

_MAX_RAW_CHARACTERS = 200


def validate_events(
    events: DataFrame,
    weights: WeightSettings,
    clean: CleanSettings | None = None,
    *,
    run_s: int | None = None,
    has_time: bool = True,
) -> DataFrame:
    """Convert raw events to their types and give each event that cannot be used, or is left out, a reason.

    Args:
        events: as :mod:`ml.preparation.read.events` returns them.
        weights: how the weight of an event is determined.
        clean: which ids are missing, and what becomes of events without a user.
        run_s: Unix seconds of the run; events more than a day later cannot be used. None: no limit.
        has_time: whether the events have a time.

    Returns:
        ``user_id``, ``item_id``: string; ``timestamp``: int64, Unix seconds, truncated; ``weight``: double;
        ``reason``: string, null for a usable event; ``source``: the file, and ``raw``: the first
        characters of the row, both null for a usable event.
    """
    clean = clean or CleanSettings()
    typed = events.select(
        "raw",
        "source",
        "problem",
        canonical_id(F.col("user")).alias("user_id"),
        canonical_id(F.col("item")).alias("item_id"),
        F.trim("time").alias("time"),
        ("timestamp" if has_time else F.lit(NO_TIME_S).cast("bigint").alias("timestamp")),
        event_weight(F.col("value"), weights).alias("weight"),
    )
    validated = typed.withColumn("reason", _reason(weights, clean, run_s, has_time))
    is_unusable = F.col("reason").isNotNull()
    return validated.select(
        "user_id",
        "item_id",
        "timestamp",
        "weight",
        "reason",
        F.when(is_unusable, decoded(F.col("source"))).alias("source"),
        F.when(is_unusable, F.substring("raw", 1, _MAX_RAW_CHARACTERS)).alias("raw"),
    )


def usable_events(validated: DataFrame) -> DataFrame:
    """The events without a reason: ``user_id``, ``item_id``, ``timestamp``, ``weight``."""
    is_usable = F.col("reason").isNull()
    return validated.where(is_usable).select("user_id", "item_id", "timestamp", "weight")


def unusable_events(validated: DataFrame) -> DataFrame:
    """The events that cannot be used, without those that are left out."""
    return validated.where(F.col("reason").isNotNull() & ~F.col("reason").isin(*LEFT_OUT))


def _reason(weights: WeightSettings, clean: CleanSettings, run_s: int | None, has_time: bool) -> Column:
    ids = (F.col("user_id"), F.col("item_id"))
    missing = missing_ids(clean.missing_ids)
    of_user = "anonymous_user" if clean.anonymous == "drop" else "missing_user"
    longest_id = F.greatest(F.octet_length("user_id"), F.octet_length("item_id"))
    reason = (
        F.when(F.col("problem").isNotNull(), F.col("problem"))
        .when(F.col("weight") == 0, "ignored_event_type")
        .when(is_missing(ids[0], missing), of_user)
        .when(is_missing(ids[1], missing), "missing_item")
    )
    if has_time:
        reason = reason.when(F.coalesce(F.octet_length("time"), F.lit(0)) == 0, "missing_time")
    reason = reason.when(has_bad_character(*ids), bad_character_reason(*ids)).when(
        longest_id > MAX_ID_BYTES, "id_too_long"
    )
    if has_time:
        is_in_range = F.col("timestamp").between(MIN_TIME_S, MAX_TIME_S - 1)
        reason = reason.when(F.col("timestamp").isNull(), "unparsable_time")
        reason = reason.when(~is_in_range, "time_out_of_range")
        if run_s is not None:
            reason = reason.when(F.col("timestamp") > run_s + DAY_S, "later_than_run")
    return reason.when(F.col("weight").isNull(), missing_weight_reason(weights))
