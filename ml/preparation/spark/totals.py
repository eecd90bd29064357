"""Totals of a table, computed by the Spark job that writes it, not by a second one that reads it back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pyspark.sql import Column, DataFrame, Observation

Totals = dict[str, Any]  # aggregated value by name


class Checkpoint(Protocol):
    """Function that writes a table under a name and reads it back, which cuts its lineage."""

    def __call__(self, table: DataFrame, name: str, *totals: Column) -> tuple[DataFrame, Totals]:
        """Returns the table as read back, and the named aggregations of all its rows."""


def write_with_totals(
    table: DataFrame, totals: Sequence[Column], write: Callable[[DataFrame], None]
) -> Totals:
    """Write a table and aggregate its rows on their way.

    The aggregation is the last operation before the write, so that Spark counts each task once, also when the
    loss of a node repeats earlier stages.

    Args:
        table: the table.
        totals: named aggregations of all rows.
        write: writes the table that it receives, in one Spark action.
    """
    if not totals:
        write(table)
        return {}
    observation = Observation()
    write(table.observe(observation, *totals))
    return observation.get
