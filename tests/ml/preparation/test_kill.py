"""kill -9 at any moment: what is left is never taken for a run, and the next attempt ends as if alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from ml import manifest as manifests
from tests.ml.conftest import ROOT
from tests.ml.preparation.test_job import RUN_ID, files_of, prepare, shop_lines, write_shop

pytestmark = pytest.mark.spark

N_KILLS = 10
ANOTHER_SHOP = [line.replace("i0", "j") for line in shop_lines(n_users=7)]


def start(source: Path, output: Path) -> subprocess.Popen[bytes]:
    """The job as a process group of its own: Python and its JVM die together."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYSPARK", "SPARK"))
    }
    command = [sys.executable, "-m", "ml.preparation", "--input", str(source), "--output", str(output)]
    return subprocess.Popen(
        [*command, "--run-id", RUN_ID, "--overwrite"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def run_timed(source: Path, output: Path) -> float:
    """Run the job to its end; returns how long it ran, in seconds."""
    began = time.monotonic()
    assert start(source, output).wait() == 0
    return time.monotonic() - began


def kill_after(seconds: float, source: Path, output: Path) -> None:
    process = start(source, output)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def data_files(run: Path) -> dict[str, bytes]:
    return {name: content for name, content in files_of(run).items() if name.endswith(".parquet")}


def test_ten_kills_leave_no_partial_run_and_no_trace(spark: SparkSession, tmp_path: Path) -> None:
    source = write_shop(tmp_path, shop_lines())
    unbroken = tmp_path / "unbroken"
    duration_s = run_timed(source, unbroken)
    whole = data_files(unbroken / f"run={RUN_ID}")

    # It starts from a whole run of other events, which is to be overwritten.
    broken = tmp_path / "broken"
    run = prepare(spark, write_shop(tmp_path, ANOTHER_SHOP, "another.csv"), broken)
    older = data_files(run)
    rng = random.Random(4)
    partial = 0
    for _ in range(N_KILLS):
        # Not in the first third, which is Python and its JVM starting: nothing has been touched then.
        kill_after(rng.uniform(duration_s / 3, duration_s), source, broken)
        if (run / "_SUCCESS").exists():
            manifest = manifests.load(run / "manifest.json")
            manifests.verify_files(manifest, {name: run / name for name in manifest.files})
            assert data_files(run) in (older, whole)
        else:
            partial += run.exists()
    assert partial  # at least one of the kills hit a run that was being written

    run_timed(source, broken)
    assert data_files(run) == whole
    assert set(files_of(run)) == set(files_of(unbroken / f"run={RUN_ID}"))
