"""`make up` hands DATA to the command as it was given, whatever characters are in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What `make test` hands to programs that it starts: options and variables of make itself.
OF_MAKE = {"MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS", "ARGS", "DATA", "STAGE", "SERVE"}
NAMES = [
    "o'brien.csv",
    "o'brien's.csv",
    'a "b".csv',
    "a$b.csv",
    "$(HOME).csv",
    "~/x.csv",
    "이벤트 2026.csv",
    "é;ü&.csv",
    "*.csv",
]


@pytest.mark.parametrize("name", NAMES)
def test_path_of_the_data_reaches_the_command_unchanged(tmp_path: Path, name: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "-s", "-o", "environment", "-o", "spark-classes", "up", f"PYTHON={python}", f"DATA={name}"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in OF_MAKE},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == ["-m", "local", "up", "--stage", "dev", "--data", name]
