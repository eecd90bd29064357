from __future__ import annotations

import json
from pathlib import Path

from bench import scale


def test_both_sizes_are_measured_and_compared(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    sizes = ["--users", "400", "--items", "800", "--interactions", "6000"]
    assert scale.main([*sizes, "--json", str(out), "--factor-num", "8"]) == 0
    result = json.loads(out.read_text())
    small, large = result["sizes"]
    assert 3 < large["interactions"] / small["interactions"] < 5
    assert large["users"] > small["users"]
    assert small["epoch_seconds"] > 0
    assert large["peak_memory_mib"] > 50
    assert result["growth"]["epoch_seconds"] == large["epoch_seconds"] / small["epoch_seconds"]
