"""Archive of the Spark job's packages: accepted only if it was built from the lock."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from stacks.spark_packages import SparkPackagesError, spark_packages


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "spark.lock"
    path.write_text("pymongo==4.18.3\n")
    return path


def archive_of(path: Path, lock: str) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("spark.lock", lock)
    return path


def test_archive_of_the_lock_is_used(tmp_path: Path, lock: Path) -> None:
    archive = archive_of(tmp_path / "packages.zip", lock.read_text())
    assert spark_packages(archive, lock).path == str(archive)


@pytest.mark.parametrize(
    "reason", ["is missing", "is not an archive of packages", "was built from another spark.lock"]
)
def test_invalid_archive_is_refused_with_the_command_to_run(tmp_path: Path, lock: Path, reason: str) -> None:
    archive = tmp_path / "packages.zip"
    if reason == "is not an archive of packages":
        archive.write_bytes(b"")
    elif reason == "was built from another spark.lock":
        archive_of(archive, "pymongo==3.0\n")
    with pytest.raises(SparkPackagesError) as caught:
        spark_packages(archive, lock)
    assert str(caught.value) == f"{archive} {reason}: run `python -m ci.spark_packages`"
