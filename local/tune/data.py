"""Prepared run of a search: given as a folder, or prepared here from interactions."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from local.errors import BadInputError, StepFailedError
from ml.contract import MANIFEST_FILE, SUCCESS_FILE
from ml.manifest import ManifestError
from ml.ncf.data.interactions import DataError
from ml.ncf.data.prepared_run import PreparedRun, read_run
from ml.preparation.detect.local_files import data_files

ROOT = Path(__file__).resolve().parents[2]
RUN_ID = "20260101T000000Z"  # of runs that are prepared for a search only
TUNED_SPLITS = ("train", "validation")
LOG_LINES = 5


def is_prepared_run(data: Path) -> bool:
    """Whether a folder is a prepared run, such as a copy of `prepared/run=<run_id>/` of the data bucket."""
    return (data / MANIFEST_FILE).is_file()


def read_for_tuning(folder: Path) -> PreparedRun:
    """Train and validation of a run; the files of the test split are not opened.

    Raises:
        BadInputError: the run is damaged, or cannot be trained on.
    """

    def locate(channel: str) -> Path:
        return folder / channel if channel in TUNED_SPLITS else folder

    try:
        return read_run(locate, TUNED_SPLITS)
    except (DataError, ManifestError) as error:
        raise BadInputError(f"{folder}: {error}") from error


def prepare(data: Path, job_options: Sequence[str], folder: Path) -> Path:
    """The prepared run of interactions; what was prepared before from the same files is used again.

    Args:
        data: file or folder of interactions.
        job_options: of the preparation job.
        folder: for prepared runs.

    Raises:
        StepFailedError: the job failed.
    """
    described = "\0".join([*job_options, *(_described(path) for path in data_files(data))])
    output = folder / hashlib.sha256(described.encode()).hexdigest()[:16]
    run = output / f"run={RUN_ID}"
    if (run / SUCCESS_FILE).is_file():
        return run
    command = [sys.executable, "-m", "ml.preparation", "--input", str(data.resolve())]
    command += ["--output", str(output.resolve()), "--run-id", RUN_ID, *job_options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = f"python -m ml.preparation ended with {done.returncode}"
        raise StepFailedError("prepare", reason, done.stderr.strip().splitlines()[-LOG_LINES:])
    return run


def _described(path: Path) -> str:
    found = path.stat()
    return f"{path.resolve()} {found.st_size} {found.st_mtime_ns}"
