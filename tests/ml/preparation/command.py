"""The job in a separate process."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.ml.conftest import ROOT


def command(*arguments: object) -> list[str]:
    """The job's command line."""
    return [sys.executable, "-m", "ml.preparation", *map(str, arguments)]


def environment() -> dict[str, str]:
    """This process's environment without the variables of its Spark session."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYSPARK", "SPARK"))}


def run_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the job and wait for it."""
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
