"""File layout: files of similar size, determined by the rows only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.preparation.write.file_layout import ROWS_PER_FILE, FileLayout, assign_ranges


@given(rows=st.lists(st.integers(0, 9_000_000), min_size=1, max_size=60).filter(any))
def test_ranges_are_assigned_in_order_and_no_file_is_empty(rows: list[int]) -> None:
    files = assign_ranges(rows)
    assert files == sorted(files)
    sizes = [
        sum(n for n, file in zip(rows, files, strict=True) if file == each) for each in range(files[-1] + 1)
    ]
    assert all(sizes)
    assert max(sizes) <= ROWS_PER_FILE + max(rows)


def test_range_larger_than_a_file_has_its_own_file() -> None:
    assert assign_ranges([50, 50, 300, 50, 50], rows_per_file=100) == [0, 0, 1, 2, 2]


def test_files_are_numbered_consecutively_over_the_splits() -> None:
    layout = FileLayout(10, {"train": [0, 0, 1], "validation": [0, 0, 0], "test": [0, 0, 0]})
    assert [layout.name_of(number) for number in range(layout.n_files)] == [
        "train/part-00000.parquet",
        "train/part-00001.parquet",
        "validation/part-00000.parquet",
        "test/part-00000.parquet",
    ]
    with pytest.raises(ValueError, match="no file 4: the layout has 4 files"):
        layout.name_of(4)
