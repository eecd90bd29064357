"""What an event weighs: 1, what its type is worth, or a number that it carries, such as a rating."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.settings.preparation import MAX_WEIGHT, MIN_WEIGHT

_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"


@dataclass(frozen=True)
class Weighing:
    """How events are weighed; without anything given each weighs 1."""

    by_type: tuple[tuple[str, float], ...] = ()  # event type and weight
    by_number: bool = False

    def weight(self, value: Column) -> Column:
        """A double from the text of the event's type or number; null where it has none that is known."""
        if self.by_type:
            weight = F.lit(None).cast("double")
            for name, worth in self.by_type:
                weight = F.when(F.trim(value) == name, F.lit(worth)).otherwise(weight)
            return weight
        if self.by_number:
            text = F.trim(value)
            # Java takes "5d" and "0x1p3" for numbers, too.
            number = F.when(text.rlike(_NUMBER), text.cast("double"))
            return F.when(number.between(MIN_WEIGHT, MAX_WEIGHT), number)
        return F.lit(1.0)

    @property
    def reason(self) -> str:
        """Why an event without a weight cannot be used."""
        return "unknown_event" if self.by_type else "bad_weight"
