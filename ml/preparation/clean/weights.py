"""Weight of an event: 1, the weight of its type, or a number from a column such as a rating."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.settings.preparation import MAX_WEIGHT, MIN_WEIGHT, WeightSettings

_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def event_weight(value: Column, weights: WeightSettings) -> Column:
    """The weight of an event as double; null if ``value`` is an unknown type or not a number in range.

    Types are compared without regard to case; 0 is the weight of a type that is left out.

    Args:
        value: the event type or the weight, as text.
        weights: without weights per type and without a weight column, every event has weight 1.
    """
    if weights.event_weights:
        weight = F.lit(None).cast("double")
        for name, of_type in weights.event_weights.items():
            weight = F.when(F.lower(F.trim(value)) == name.strip().lower(), F.lit(of_type)).otherwise(weight)
        return weight
    if weights.weight_column is not None:
        text = F.trim(value)
        # Java also parses "5d" and "0x1p3" as numbers.
        number = F.when(text.rlike(_NUMBER), text.cast("double"))
        return F.when(number.between(MIN_WEIGHT, MAX_WEIGHT), number)
    return F.lit(1.0)


def missing_weight_reason(weights: WeightSettings) -> str:
    """The quarantine reason of an event without a weight."""
    return "unknown_event" if weights.event_weights else "bad_weight"
