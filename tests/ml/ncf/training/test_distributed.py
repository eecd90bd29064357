from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

from tests.ml.ncf.training.small import SMALL, train, weights

ROOT = Path(__file__).parents[4]

TRAIN_AS_ONE_OF_TWO = """
import sys, torch
from dataclasses import replace
from ml.ncf.training.distributed import process_group
from tests.ml.ncf.training.small import SMALL, train, weights
with process_group() as process:
    settings = replace(SMALL, dropout=0.0, history_dropout=0.0)
    torch.save(weights(train(settings, rank=process)), sys.argv[1])
"""


def test_two_processes_train_the_same_model_as_one(tmp_path: Path, free_port: int) -> None:
    children = []
    for rank in range(2):
        environment = {
            **os.environ,
            "RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port),
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-c", TRAIN_AS_ONE_OF_TWO, str(tmp_path / f"{rank}.pt")]
        children.append(subprocess.Popen(command, cwd=ROOT, env=environment))
    assert [child.wait(timeout=120) for child in children] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    single = weights(train(replace(SMALL, dropout=0.0, history_dropout=0.0)))
    assert torch.equal(first, second)
    assert torch.allclose(first, single, atol=1e-4)
