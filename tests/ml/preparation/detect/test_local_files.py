"""Samples of local files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.preparation.detect.local_files import sample_file


# Below, at and above the size up to which a file is read whole (1.4 MB), and far above.
@pytest.mark.parametrize("n_rows", [1_000, 24_001, 57_000, 58_000, 75_000, 400_000])
def test_no_row_of_a_file_is_sampled_twice(tmp_path: Path, n_rows: int) -> None:
    path = tmp_path / "events.csv"
    path.write_text("".join(f"u{n:07},i{n:07},{n:06}\n" for n in range(n_rows)))
    sample = sample_file(path)
    lines = b"\n".join([sample.head, *sample.chunks]).split()
    whole = [line for line in lines if len(line) == 24]  # without the line that the end of the head cuts
    assert len(set(whole)) == len(whole)
    assert sample.is_cut or len(whole) == n_rows
