"""`local.spark_classes`: archive of Spark's JVM classes; a JVM without a usable one starts too."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from emulator.services.emr import step
from local.spark_classes import ArchiveError, main, write_archive
from ml.preparation.spark import session
from ml.preparation.spark.session import CLASS_ARCHIVE, QUIET_ARCHIVE


def test_steps_of_the_emulator_start_as_local_sessions_do() -> None:
    """Neither may import the other: same archive, and same options of the same small inputs."""
    assert step.CLASS_ARCHIVE == CLASS_ARCHIVE
    assert " ".join(step.QUIET_ARCHIVE) == QUIET_ARCHIVE
    assert step.SMALL_INPUT_BYTES == session.SMALL_INPUT_BYTES
    assert step.SMALL_JAVA_OPTIONS == session.SMALL_JAVA_OPTIONS
    assert step.LAUNCHER_OPTIONS == session.LAUNCHER_OPTIONS


def test_preparation_that_fails_is_an_error_and_leaves_no_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ArchiveError, match="Java gateway process exited"):
        write_archive(tmp_path / "classes.jsa")
    assert list(tmp_path.iterdir()) == []


def test_environment_is_complete_without_an_archive(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert main(tmp_path / "classes.jsa") == 0
    error = capsys.readouterr().err
    assert error.startswith("spark_classes: no archive, Spark starts without it: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("content", [None, b"", b"another JVM's archive"])
def test_unusable_archive_is_ignored_silently(tmp_path: Path, content: bytes | None) -> None:
    archive = tmp_path / "classes.jsa"
    if content is not None:
        archive.write_bytes(content)
    java = shutil.which("java") or "java"
    options = [f"-XX:SharedArchiveFile={archive}", *QUIET_ARCHIVE.split()]
    command = [java, *options, "-cp", str(tmp_path), "-version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == ""
    assert done.stderr.startswith("openjdk version") or done.stderr.startswith("java version")
