"""Files of a like size, from what the rows are and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.preparation.write import file_layout
from ml.preparation.write.file_layout import FileLayout, _filled


@given(rows=st.lists(st.integers(0, 9_000_000), min_size=1, max_size=60).filter(any))
def test_files_are_filled_in_order_and_none_is_empty(rows: list[int]) -> None:
    files = _filled(rows)
    assert files == sorted(files)
    sizes = [
        sum(n for n, file in zip(rows, files, strict=True) if file == each) for each in range(files[-1] + 1)
    ]
    assert all(sizes)
    assert max(sizes) <= file_layout.ROWS_PER_FILE + max(rows)


def test_one_user_of_many_rows_takes_a_file_and_leaves_the_others_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(file_layout, "ROWS_PER_FILE", 100)
    assert _filled([50, 50, 300, 50, 50]) == [0, 0, 1, 2, 2]


def test_files_are_numbered_split_by_split() -> None:
    layout = FileLayout(10, {"train": [0, 0, 1], "validation": [0, 0, 0], "test": [0, 0, 0]})
    assert [layout.name_of(number) for number in range(layout.n_files)] == [
        "train/part-00000.parquet",
        "train/part-00001.parquet",
        "validation/part-00000.parquet",
        "test/part-00000.parquet",
    ]
    with pytest.raises(ValueError, match="there are 4 files"):
        layout.name_of(4)
