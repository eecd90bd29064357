"""Input of the evaluation job."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest


@pytest.fixture
def job_input(prepared_run: Path, model_dir: Path, tmp_path: Path) -> Path:
    """The input folder of the job: the channels of the run, and the candidate."""
    folder = tmp_path / "input"
    for split in ("train", "validation", "test"):
        (folder / split).parent.mkdir(exist_ok=True)
        (folder / split).symlink_to(prepared_run / split)
    for name in ("users", "items", "popularity", "manifest"):
        (folder / name).symlink_to(prepared_run)
    (folder / "model").mkdir()
    with tarfile.open(folder / "model/model.tar.gz", "w:gz") as tar:
        tar.add(model_dir, arcname=".")
    return folder
