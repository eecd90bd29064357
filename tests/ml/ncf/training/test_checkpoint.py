from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ml.ncf.model.base import RankingModel
from ml.ncf.training.checkpoint import Checkpoint, CheckpointError, CheckpointFolder
from ml.ncf.training.loop import Epoch
from ml.settings.hyperparameters import Hyperparameters
from tests.ml.ncf.training.small import SMALL, same, train


class Interrupted(Exception):  # noqa: N818 -- not an error of the training
    """A spot interruption."""


@pytest.mark.parametrize("interrupted_in", [("gmf", 2), ("mlp", 1), ("fused", 1), ("gmf-refit", 1)])
def test_interrupted_training_resumes_to_the_same_result(
    interrupted_in: tuple[str, int], tmp_path: Path
) -> None:
    settings = replace(SMALL, architecture="neumf", pretrain=True, refit=True)
    checkpoints = CheckpointFolder(tmp_path)

    def interrupt(epoch: Epoch, _: RankingModel) -> None:
        if (epoch.phase, epoch.number) == interrupted_in:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(settings, checkpoints=checkpoints, on_epoch=interrupt)
    resumed: list[Epoch] = []
    trained = train(settings, checkpoints=checkpoints, on_epoch=lambda epoch, _: resumed.append(epoch))
    assert (resumed[0].phase, resumed[0].number) != ("gmf", 1)
    assert same(trained, train(settings))


def epochs_run(settings: Hyperparameters, checkpoints: CheckpointFolder) -> list[int]:
    numbers: list[int] = []
    train(settings, checkpoints=checkpoints, on_epoch=lambda epoch, _: numbers.append(epoch.number))
    return numbers


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"lr": 0.01}, r"lr is 0\.05 in the checkpoint and 0\.01 in this training"),
        ({"embedding_std": 0.2}, r"embedding_std is 0\.3 in the checkpoint and 0\.2 in this training"),
        ({}, "code version is 'v1' in the checkpoint and 'v2' in this training"),
    ],
)
def test_checkpoint_of_another_training_is_not_resumed_and_named(
    changed: dict[str, float], difference: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert epochs_run(SMALL, CheckpointFolder(tmp_path, {"code version": "v1"})) == [1, 2, 3, 4]
    version = "v1" if changed else "v2"
    settings = replace(SMALL, **changed)
    assert epochs_run(settings, CheckpointFolder(tmp_path, {"code version": version})) == [1, 2, 3, 4]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"warning: checkpoint {tmp_path}/gmf.pt belongs to another training: ")
    assert re.search(difference, line)
    assert epochs_run(settings, CheckpointFolder(tmp_path, {"code version": version})) == []


def test_damaged_checkpoint_means_a_start_from_the_first_epoch_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "gmf.pt").write_bytes(b"half a file")
    assert epochs_run(SMALL, CheckpointFolder(tmp_path)) == [1, 2, 3, 4]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"warning: checkpoint {tmp_path}/gmf.pt: cannot be read")
    assert line.endswith("; this phase is trained from its start")


def test_any_damage_to_a_checkpoint_is_found(tmp_path: Path) -> None:
    checkpoint, rng = Checkpoint(tmp_path / "phase.pt", {"lr": 0.1}), random.Random(0)
    checkpoint.save({"model": {"weights": torch.randn(50, 8)}, "epochs": [{"loss": 0.5}]})
    content = checkpoint.path.read_bytes()
    assert checkpoint.load() is not None
    for _ in range(100):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        for written in (bytes(damaged), content[: rng.randrange(len(content))]):
            checkpoint.path.write_bytes(written)
            with pytest.raises(CheckpointError, match="cannot be read"):
                checkpoint.load()


def test_full_disk_costs_the_checkpoint_and_not_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "gmf.partial").symlink_to("/dev/full")  # every write: no space left on device
    assert same(train(checkpoints=CheckpointFolder(tmp_path)), train())
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"warning: checkpoint {tmp_path}/gmf.pt: cannot be written: ")
    assert line.endswith("No space left on device; the training goes on")
    assert epochs_run(SMALL, CheckpointFolder(tmp_path)) == []  # the next epoch had room again


def test_folder_that_cannot_be_written_costs_all_checkpoints(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "checkpoints").write_text("not a folder", encoding="utf-8")
    folder = CheckpointFolder(tmp_path / "checkpoints")
    assert same(train(checkpoints=folder), train())
    assert capsys.readouterr().out.count("cannot be written") == SMALL.epochs


def test_failed_write_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "phase.pt", {})
    checkpoint.save_or_warn({"epoch": 1})
    (tmp_path / "phase.partial").symlink_to("/dev/full")
    checkpoint.save_or_warn({"epoch": 2})
    assert checkpoint.load() == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [checkpoint.path]
