"""A stage that serves is found from other terminals for as long as its process lives."""

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
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_stage_is_found_until_it_is_forgotten(here: None) -> None:
    stage = stage_of(os.getpid())
    stage.remember()
    assert running_stage() == stage
    stage.forget()
    assert not STATE_FILE.exists()
    with pytest.raises(BadInputError, match="nothing serves here"):
        running_stage()


def test_a_stage_whose_process_has_ended_is_not_found(here: None) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stage_of(ended.pid).remember()
    with pytest.raises(BadInputError, match="nothing serves here"):
        running_stage()


def test_forgetting_leaves_the_file_of_a_newer_stage(here: None) -> None:
    newer = stage_of(os.getpid())
    newer.remember()
    stage_of(os.getpid() + 1).forget()
    assert running_stage() == newer
