"""Sampled rows of a file, by column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from ml.contract import is_missing_id


def is_null(value: str) -> bool:
    """Whether a text stands for a missing value."""
    return is_missing_id(value)


class Samples:
    """The first rows of a file, or rows from several places in it.

    Args:
        columns: the names of the columns, or their positions ``#1``, ``#2``.
        rows: the rows; those with another number of fields are left out, and counted.
    """

    def __init__(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.columns = tuple(columns)
        self.rows = [row for row in rows if len(row) == len(columns)]
        self.n_left_out = len(rows) - len(self.rows)
        self.values = cache(self._values)
        self.n_distinct: Any = cache(self._n_distinct)

    def with_constants(self, constants: Mapping[str, str]) -> Samples:
        """The samples with more columns, each of one value; columns of the same name stay as they are."""
        new = {name: value for name, value in constants.items() if name not in self.columns}
        if not new:
            return self
        samples = Samples((*self.columns, *new), [[*row, *new.values()] for row in self.rows])
        samples.n_left_out = self.n_left_out
        return samples

    @property
    def n_rows(self) -> int:
        """Number of the rows."""
        return len(self.rows)

    def _values(self, position: int) -> list[str]:
        return [row[position] for row in self.rows]

    def present(self, position: int) -> list[str]:
        """The values of a column that are not null."""
        return [value for value in self.values(position) if not is_null(value)]

    def _n_distinct(self, position: int) -> int:
        return len(set(self.present(position)))

    def null_share(self, position: int) -> float:
        """Share of the rows without a value."""
        return 1 - len(self.present(position)) / len(self.rows) if self.rows else 0.0

    def example(self, position: int) -> str:
        """The first value of a column that is not null."""
        return next(iter(self.present(position)), "")

    def most_frequent(self, position: int) -> tuple[str, float]:
        """The most frequent value, and its share of the rows."""
        found = Counter(self.present(position)).most_common(1)
        return (found[0][0], found[0][1] / len(self.rows)) if found else ("", 0.0)
