"""Benchmark of the preparation job."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.preparation import growth

ROOT = Path(__file__).parents[2]


@pytest.mark.spark
def test_job_and_pandas_have_the_same_counts(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = ["--rows", "6000", "--skew", "0.2", "--json", str(out)]
    command = [sys.executable, str(ROOT / "bench/preparation.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr  # the benchmark fails if the counts differ
    (found,) = json.loads(out.read_text())
    assert found["rows"] == 6000
    assert found["rows_per_s"] == pytest.approx(found["rows"] / found["seconds"])
    assert min(found["peak_memory_mib"], found["pandas_peak_memory_mib"]) > 50
    assert found["pandas_seconds"] > 0


def test_growth_is_that_of_the_time_without_start_up() -> None:
    found = [
        {"rows": 1000, "seconds": 12.0},
        {"rows": 5000, "seconds": 18.0},
        {"rows": 10_000, "seconds": 26},
    ]
    assert growth(found, 10.0) == [
        "5.0 x the rows, 4.00 x the time without start-up",
        "2.0 x the rows, 2.00 x the time without start-up",
    ]
