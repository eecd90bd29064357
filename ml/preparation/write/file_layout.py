"""Which rows go to which file of a split: ranges of users, cut so that files are of a like size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import SPLITS

ROWS_PER_FILE = 4_000_000  # about 25 MB, one row group: a training process reads several at once
N_RANGES = 1024  # of user indices: the finest that a file is cut


@dataclass(frozen=True)
class FileLayout:
    """The files of a run's splits, numbered through: those of train, of validation, of test."""

    users_per_range: int
    files: Mapping[str, Sequence[int]]  # the file, within the split, of each range

    @property
    def n_files(self) -> int:
        """Of all splits."""
        return sum(files[-1] + 1 for files in self.files.values())

    def name_of(self, number: int) -> str:
        """A file's name, relative to the run."""
        for split in SPLITS:
            n = self.files[split][-1] + 1
            if number < n:
                return f"{split}/part-{number:05d}.parquet"
            number -= n
        raise ValueError(f"there are {self.n_files} files, none more")

    def partitioned_by(self, values: Sequence[int]) -> Column:
        """The value of its file for each row, from ``split`` and ``user_index``.

        Args:
            values: one a file.
        """
        of_range = F.expr(f"cast(user_index div {self.users_per_range} AS int)")
        chosen = []
        first = 0
        for position, split in enumerate(SPLITS):
            literals = ",".join(str(values[first + number]) for number in self.files[split])
            # An array in SQL: as many calls to the JVM as ranges would take longer than the sort.
            value = F.element_at(F.expr(f"array({literals})"), of_range + 1)
            chosen.append(F.when(F.col("split") == position, value))
            first += self.files[split][-1] + 1
        return F.coalesce(*chosen)


def file_layout(users: DataFrame, n_indices: int) -> FileLayout:
    """The layout for the rows of each user.

    Files are filled in the order of the users, to about ROWS_PER_FILE. Users in the same range stay together,
    and so do all rows of one user: a user of more makes a larger file.

    Args:
        users: ``user_index``, ``n_train``, ``n_validation``, ``n_test``.
        n_indices: user indices are below it.
    """
    per_range = max(1, -(-n_indices // N_RANGES))
    of_range = F.expr(f"cast(user_index div {per_range} AS int)").alias("range")
    sums = [F.sum(f"n_{split}").alias(split) for split in SPLITS]
    rows = {row["range"]: row for row in users.groupBy(of_range).agg(*sums).collect()}  # at most N_RANGES
    n_ranges = -(-n_indices // per_range)
    files: dict[str, list[int]] = {}
    for split in SPLITS:
        files[split] = _filled([rows[each][split] if each in rows else 0 for each in range(n_ranges)])
    return FileLayout(per_range, files)


def _filled(rows: Sequence[int]) -> list[int]:
    """The file of each range of so many rows: the one that its middle falls into, were all files equal."""
    total = sum(rows)
    n_files = max(1, -(-total // ROWS_PER_FILE))
    files: list[int] = []
    number, before, wanted = -1, 0, -1
    for n in rows:
        place = (2 * before + n) * n_files // (2 * total) if n else wanted
        if place > wanted:  # a range larger than a file leaves numbers out: they are closed up
            number, wanted = number + 1, place
        files.append(max(number, 0))
        before += n
    return files
