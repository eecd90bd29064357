"""SIGKILL at any moment: no incomplete run looks complete, and the next attempt gives the same files.

A process that is stopped with SIGSTOP has the same files as one that is killed at that moment. One run is
therefore stopped at many moments, and its output copied each time. Every copy is then checked, and some
are prepared again. Two more runs are killed with SIGKILL, in different steps.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from pyspark.sql import SparkSession

from ml import manifest as manifests
from tests.ml.conftest import ROOT
from tests.ml.preparation.command import command, environment
from tests.ml.preparation.shop import RUN_ID, data_files, files_of, prepare, shop_lines, write_shop

pytestmark = pytest.mark.spark

OTHER_SHOP = [line.replace("i0", "j") for line in shop_lines(n_users=7)]
MIN_MOMENTS = 10
MAX_MOMENTS = 30
N_PREPARED_AGAIN = 3  # of the copies
MAX_PAUSE_S = 1.0  # between two moments
STOPPED = {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
WAIT_S = 180


class JobProcess:
    """The job in a new process group, Python and JVM, with its log lines."""

    def __init__(self, source: Path, output: Path) -> None:
        # A killed process deletes nothing: Spark's temporary folders lie beside the output.
        scratch = output.parent / "spark"
        scratch.mkdir()
        temporary = {
            "SPARK_LOCAL_DIRS": str(scratch),
            "JAVA_TOOL_OPTIONS": f"-Djava.io.tmpdir={scratch}",
        }
        arguments = ["--input", source, "--output", output, "--run-id", RUN_ID, "--overwrite"]
        self._process = subprocess.Popen(
            command(*arguments),
            cwd=ROOT,
            env={**environment(), **temporary, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._lines: list[str] = []
        self._has_line = threading.Condition()
        threading.Thread(target=self._read_lines, daemon=True).start()

    def _read_lines(self) -> None:
        for line in self._process.stdout or ():
            with self._has_line:
                self._lines.append(line)
                self._has_line.notify_all()

    def wait_for_line(self, pattern: str) -> None:
        """Wait until a line of the log matches."""
        with self._has_line:
            assert self._has_line.wait_for(
                lambda: any(re.search(pattern, line) for line in self._lines), WAIT_S
            ), self._lines

    def wait_for_more_lines(self, n_lines: int, timeout_s: float) -> int:
        """Wait until the log has more than ``n_lines`` lines or the time is up; returns their number."""
        with self._has_line:
            self._has_line.wait_for(lambda: len(self._lines) > n_lines, timeout_s)
            return len(self._lines)

    def is_running(self) -> bool:
        return self._process.poll() is None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Context in which all processes of the group are stopped."""
        processes = [psutil.Process(self._process.pid)]
        processes += processes[0].children(recursive=True)
        os.killpg(self._process.pid, signal.SIGSTOP)
        while not all(each.status() in STOPPED for each in processes if each.is_running()):
            time.sleep(0.001)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End the group with SIGKILL."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def wait(self) -> int:
        return self._process.wait(WAIT_S)


def is_complete(run: Path) -> bool:
    """Whether a run has ``_SUCCESS``; its files must then match its manifest."""
    if not (run / "_SUCCESS").exists():
        return False
    manifest = manifests.load(run / "manifest.json")
    manifests.verify_files(manifest, {name: run / name for name in manifest.files})
    return True


def copy_at_many_moments(job: JobProcess, output: Path, copies: Path) -> list[Path]:
    """Copy the output after each log line, and at random moments in between, until the job ends."""
    rng, found, n_lines = random.Random(4), [], 1
    job.wait_for_line("begin: overwriting")
    while job.is_running() and len(found) < MAX_MOMENTS:
        with job.stopped():
            found.append(Path(shutil.copytree(output, copies / f"{len(found):03d}")))
        n_lines = job.wait_for_more_lines(n_lines, rng.uniform(0.0, MAX_PAUSE_S))
    return found


def with_distinct_files(copies: list[Path]) -> list[Path]:
    """The copies without those that have the same files as the one before."""
    return [
        each
        for before, each in zip([None, *copies], copies, strict=False)
        if before is None or files_of(before) != files_of(each)
    ]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("source"), shop_lines())


@pytest.fixture(scope="module")
def other(spark: SparkSession, source: Path) -> Path:
    """The complete run of another shop."""
    return prepare(spark, write_shop(source.parent, OTHER_SHOP, "other.csv"), source.parent / "other")


@pytest.fixture
def overwritten(other: Path, tmp_path: Path) -> Path:
    """A copy of the other run, for a job to overwrite."""
    return Path(shutil.copytree(other, tmp_path / "prepared" / other.name))


def test_run_killed_at_any_moment_is_incomplete_and_can_be_prepared_again(
    spark: SparkSession, source: Path, complete_run: Path, overwritten: Path, tmp_path: Path
) -> None:
    older, expected = data_files(overwritten), data_files(complete_run)
    job = JobProcess(source, overwritten.parent)
    copies = copy_at_many_moments(job, overwritten.parent, tmp_path / "copies")
    assert job.wait() == 0
    assert data_files(overwritten) == expected
    assert len(copies) >= MIN_MOMENTS

    incomplete = []
    for each in with_distinct_files(copies):
        run = each / overwritten.name
        if is_complete(run):
            assert data_files(run) in (older, expected)
        else:
            incomplete.append(run)
    assert any(run.exists() for run in incomplete)
    for run in incomplete[:: -(-len(incomplete) // N_PREPARED_AGAIN)]:
        prepare(spark, source, run.parent, overwrite=True)
        assert data_files(run) == expected
        assert set(files_of(run)) == set(files_of(complete_run))


@pytest.mark.parametrize("line", ["k-core: ", "features: "])
def test_attempt_after_a_kill_gives_the_same_files(
    spark: SparkSession, source: Path, complete_run: Path, overwritten: Path, line: str
) -> None:
    job = JobProcess(source, overwritten.parent)
    job.wait_for_line(line)
    job.kill()
    assert overwritten.exists()
    assert not is_complete(overwritten)
    assert files_of(overwritten)
    prepare(spark, source, overwritten.parent, overwrite=True)
    assert data_files(overwritten) == data_files(complete_run)
    assert set(files_of(overwritten)) == set(files_of(complete_run))
