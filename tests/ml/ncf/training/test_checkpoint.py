from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ml.ncf.model.base import RankingModel
from ml.ncf.training.checkpoint import CheckpointError
from ml.ncf.training.loop import Epoch
from tests.ml.ncf.training.small import SMALL, same, train


class Interrupted(Exception):  # noqa: N818 -- not an error of the training
    """A spot interruption."""


@pytest.mark.parametrize("interrupted_in", [("gmf", 2), ("mlp", 1), ("fused", 1), ("gmf-refit", 1)])
def test_interrupted_training_resumes_to_the_same_result(
    interrupted_in: tuple[str, int], tmp_path: Path
) -> None:
    settings = replace(SMALL, architecture="neumf", pretrain=True, refit=True)

    def interrupt(epoch: Epoch, _: RankingModel) -> None:
        if (epoch.phase, epoch.number) == interrupted_in:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(settings, checkpoints=tmp_path, on_epoch=interrupt)
    resumed: list[Epoch] = []
    trained = train(settings, checkpoints=tmp_path, on_epoch=lambda epoch, _: resumed.append(epoch))
    assert (resumed[0].phase, resumed[0].number) != ("gmf", 1)
    assert same(trained, train(settings))


def test_checkpoint_of_another_training_is_refused_by_name(tmp_path: Path) -> None:
    train(checkpoints=tmp_path)
    with pytest.raises(
        CheckpointError,
        match=r"gmf\.pt belongs to another training: lr is 0\.05 in the checkpoint and 0\.01 in this",
    ):
        train(replace(SMALL, lr=0.01), checkpoints=tmp_path)


def test_damaged_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "gmf.pt").write_bytes(b"half a file")
    with pytest.raises(CheckpointError, match=r"gmf\.pt: cannot be read"):
        train(checkpoints=tmp_path)
