"""State file of a running stage, by which other processes find it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.aws import STATE_FILE, DeployedStage, running_stage
from local.errors import BadInputError


def stage_of(pid: int) -> DeployedStage:
    return DeployedStage("dev", "http://127.0.0.1:4566", "ap-northeast-2", pid, {"api_url": "u"})


@pytest.fixture
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_stage_is_found_until_it_is_withdrawn(in_empty_folder: None) -> None:
    stage = stage_of(os.getpid())
    stage.publish()
    assert running_stage() == stage
    stage.withdraw()
    assert not STATE_FILE.exists()
    with pytest.raises(BadInputError, match="no stage is running"):
        running_stage()


def test_stage_whose_process_has_ended_is_not_found(in_empty_folder: None) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stage_of(ended.pid).publish()
    with pytest.raises(BadInputError, match="no stage is running"):
        running_stage()


def test_withdrawing_keeps_the_file_of_a_newer_stage(in_empty_folder: None) -> None:
    newer = stage_of(os.getpid())
    newer.publish()
    stage_of(os.getpid() + 1).withdraw()
    assert running_stage() == newer
