"""What an event weighs: 1, what its type is worth, or a number that it carries, such as a rating."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.preparation.errors import InputError

MAX_WEIGHT = 1e30  # weights are written as float32
MIN_WEIGHT = 1e-30

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


def event_weights(given: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """The weights of ``--event-weight view=1 --event-weight purchase=5``.

    Raises:
        InputError: one is not NAME=NUMBER, is not a positive number, or is given twice.
    """
    weights: dict[str, float] = {}
    for each in given:
        name, _, number = each.rpartition("=")
        name = name.strip()
        if not name:
            raise InputError(f"--event-weight {each!r}: write it as view=1")
        weight = _number(number)
        if not MIN_WEIGHT <= weight <= MAX_WEIGHT:
            raise InputError(f"--event-weight {each!r}: give a positive number, as in view=1")
        if name in weights:
            raise InputError(f"--event-weight {name}: given more than once")
        weights[name] = weight
    return tuple(weights.items())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
