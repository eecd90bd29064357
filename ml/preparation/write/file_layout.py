"""File layout of the splits: contiguous ranges of users per file, with files of similar size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import SPLITS

ROWS_PER_FILE = 4_000_000  # about 25 MB, one row group: a training process reads several files in parallel
N_RANGES = 1024  # of user indices; a range is never divided between files


@dataclass(frozen=True)
class FileLayout:
    """Files of all splits, numbered consecutively: those of train, validation and test."""

    users_per_range: int
    files: Mapping[str, Sequence[int]]  # by split: the file of each range, numbered within the split

    @property
    def n_files(self) -> int:
        """Number of files of all splits."""
        return sum(files[-1] + 1 for files in self.files.values())

    def name_of(self, number: int) -> str:
        """The name of a file, relative to the run folder."""
        remaining = number
        for split in SPLITS:
            n_files = self.files[split][-1] + 1
            if remaining < n_files:
                return f"{split}/part-{remaining:05d}.parquet"
            remaining -= n_files
        raise ValueError(f"no file {number}: the layout has {self.n_files} files")

    def partition_value(self, values: Sequence[int]) -> Column:
        """For each row the value of its file, from ``split`` and ``user_index``.

        Args:
            values: one per file.
        """
        of_range = F.expr(f"cast(user_index div {self.users_per_range} AS int)")
        chosen = []
        first = 0
        for position, split in enumerate(SPLITS):
            n_files = self.files[split][-1] + 1
            if n_files == 1:
                value = F.lit(values[first])
            else:
                literals = ",".join(str(values[first + number]) for number in self.files[split])
                # An array in SQL text: F.array needs a JVM call per range, which takes longer than the sort.
                value = F.element_at(F.expr(f"array({literals})"), of_range + 1)
            chosen.append(F.when(F.col("split") == position, value))
            first += n_files
        return F.coalesce(*chosen)


def plan_files(
    users: DataFrame, n_indices: int, n_rows: Mapping[str, int], rows_per_file: int = ROWS_PER_FILE
) -> FileLayout:
    """Plan the files of the splits from the number of rows per user.

    Files are filled in the order of the user indices. All users of a range, and so all rows of a user, are in
    one file, which may therefore have more rows.

    Args:
        users: ``user_index``, ``n_train``, ``n_validation``, ``n_test``.
        n_indices: upper bound, exclusive, of user indices.
        n_rows: number of rows by split.
        rows_per_file: approximate number of rows per file.
    """
    if max(n_rows.values()) <= rows_per_file:
        return FileLayout(max(1, n_indices), {split: [0] for split in SPLITS})  # one range, one file
    users_per_range = max(1, -(-n_indices // N_RANGES))
    of_range = F.expr(f"cast(user_index div {users_per_range} AS int)").alias("range")
    sums = [F.sum(f"n_{split}").alias(split) for split in SPLITS]
    rows = {row["range"]: row for row in users.groupBy(of_range).agg(*sums).collect()}  # at most N_RANGES
    n_ranges = -(-n_indices // users_per_range)
    files: dict[str, list[int]] = {}
    for split in SPLITS:
        rows_per_range = [rows[each][split] if each in rows else 0 for each in range(n_ranges)]
        files[split] = assign_ranges(rows_per_range, rows_per_file)
    return FileLayout(users_per_range, files)


def assign_ranges(rows: Sequence[int], rows_per_file: int = ROWS_PER_FILE) -> list[int]:
    """Assign consecutive ranges to files of equal size: each range to the file that its middle falls into.

    Args:
        rows: number of rows of each range.
        rows_per_file: approximate number of rows per file.

    Returns:
        The file of each range, numbered from 0 without gaps.
    """
    total = sum(rows)
    n_files = max(1, -(-total // rows_per_file))
    files: list[int] = []
    number, rows_before, ideal = -1, 0, -1
    for n_rows in rows:
        middle = (2 * rows_before + n_rows) * n_files // (2 * total) if n_rows else ideal
        if middle > ideal:  # a range larger than a file skips numbers, which are closed up
            number, ideal = number + 1, middle
        files.append(max(number, 0))
        rows_before += n_rows
    return files
