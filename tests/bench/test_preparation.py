from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.spark
def test_job_and_pandas_have_the_same_counts(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = ["--rows", "3000", "6000", "--skew", "0.2", "--json", str(out)]
    command = [sys.executable, str(ROOT / "bench/preparation.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr  # the benchmark fails if the counts differ
    found = json.loads(out.read_text())
    assert [each["rows"] for each in found] == [3000, 6000]
    for each in found:
        assert each["rows_per_s"] == pytest.approx(each["rows"] / each["seconds"])
        assert min(each["peak_memory_mib"], each["pandas_peak_memory_mib"]) > 50
        assert each["pandas_seconds"] > 0
