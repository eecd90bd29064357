from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

from ml.ncf.jobs import train
from ml.ncf.model.base import RankingModel

PROJECT = Path(train.__file__).parents[2]
MAX_CALLS = 6  # from main to the model, for one batch


class ModelReached(BaseException):
    """Ends the job at the first batch."""


def chain_to(function: Any, job: Any) -> list[str]:
    """Names of the project's functions on the stack when `function` is first called by `job`."""
    chain: list[str] = []

    def record(frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or frame.f_code is not function.__code__:
            return
        caller: FrameType | None = frame
        while caller is not None:
            if PROJECT in Path(caller.f_code.co_filename).parents:
                chain.insert(0, caller.f_code.co_name)
            caller = caller.f_back
        raise ModelReached

    torch.optim.AdamW([torch.zeros(1)])  # the first optimizer imports much of torch: slow under a profiler
    sys.setprofile(record)
    try:
        with pytest.raises(ModelReached):
            job()
    finally:
        sys.setprofile(None)
    return chain


@pytest.mark.parametrize(
    ("flags", "scores"),
    [
        (["--objective", "bce"], RankingModel.forward),
        (["--architecture", "gmf", "--objective", "softmax"], RankingModel.score_catalogue),
    ],
)
def test_batch_reaches_the_model_in_few_calls(
    flags: list[str], scores: Any, channels: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in channels.items():
        monkeypatch.setenv(name, value)
    sizes = ["--epochs", "1", "--factor-num", "4", "--mlp-factor-num", "4"]
    folders = ["--model-dir", str(tmp_path / "model"), "--output-data-dir", str(tmp_path / "data")]
    chain = chain_to(scores, lambda: train.main([*flags, *sizes, *folders]))
    assert chain == ["main", "train", "run_plan", "fit", "train_epoch", "loss", scores.__name__]
    assert len(chain) - 1 <= MAX_CALLS
