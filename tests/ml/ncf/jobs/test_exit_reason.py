"""Every exit of a job leaves its reason where SageMaker reads it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ml.ncf.jobs import train
from ml.ncf.jobs.exit_reason import REASON_BYTES, STOPPED, JobExit, stop_on_sigterm


def raising(error: BaseException) -> Callable[[], None]:
    def job() -> None:
        raise error

    return job


def status(job: Callable[[], None], reason: Path) -> int:
    with JobExit("training", reason, (ValueError,)) as ended:
        job()
    return ended.status


@pytest.fixture
def sigterm_is_caught() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    stop_on_sigterm()
    yield
    signal.signal(signal.SIGTERM, before)


def test_job_that_ends_well_has_status_0_and_no_reason(tmp_path: Path) -> None:
    assert status(lambda: None, tmp_path / "failure") == 0
    assert not (tmp_path / "failure").exists()


def test_expected_error_is_its_message(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert status(raising(ValueError("lr is\n0")), tmp_path / "failure") == 1
    assert (tmp_path / "failure").read_text() == "training: lr is 0"
    assert capsys.readouterr().err == "training: lr is 0\n"


@pytest.mark.parametrize("error", [RuntimeError("can't allocate"), MemoryError("can't allocate")])
def test_any_other_error_is_named_and_has_its_traceback_in_the_log(
    error: Exception, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert status(raising(error), tmp_path / "failure") == 1
    expected = f"training: unexpected {type(error).__name__}: can't allocate"
    assert (tmp_path / "failure").read_text() == expected
    assert "Traceback" in (found := capsys.readouterr().err)
    assert found.endswith(f"{expected}\n")


@pytest.mark.usefixtures("sigterm_is_caught")
def test_stopped_job_says_so(tmp_path: Path) -> None:
    assert status(lambda: os.kill(os.getpid(), signal.SIGTERM), tmp_path / "failure") == STOPPED == 143
    assert (tmp_path / "failure").read_text() == "training: stopped by SIGTERM"


def test_reason_is_cut_to_what_sagemaker_shows(tmp_path: Path) -> None:
    status(raising(ValueError("x" * 5000)), tmp_path / "failure")
    assert len((tmp_path / "failure").read_bytes()) == REASON_BYTES


def test_reason_is_not_cut_within_a_character(tmp_path: Path) -> None:
    for n_before in range(3):  # of the three bytes of each character
        status(raising(ValueError("x" * n_before + "상" * 999)), tmp_path / "failure")
        assert REASON_BYTES - 3 < len((tmp_path / "failure").read_text("utf-8").encode()) <= REASON_BYTES


def test_reason_without_room_does_not_hide_the_failure(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "failure").symlink_to("/dev/full")
    assert status(raising(ValueError("no items")), tmp_path / "failure") == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == "training: no items"
    assert "No space left on device" in second


def test_unknown_argument_is_the_reason_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("SM_OUTPUT_DATA_DIR", str(tmp_path / "data"))
    with pytest.raises(SystemExit) as caught:
        train.main(["--learning-rate", "0.1"])
    assert caught.value.code == 2
    expected = "python -m ml.ncf.jobs.train: unrecognized arguments: --learning-rate 0.1"
    assert (tmp_path / "failure").read_text() == expected
