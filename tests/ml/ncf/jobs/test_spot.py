"""A training job on a spot instance: killed in the middle and started again, as SageMaker does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
FLAGS = ["--preset", "gmf", "--epochs", "30", "--pointwise-epochs", "4", "--factor-num", "32"]
EPOCH = re.compile(r"Loss=[^;]*; gmf, epoch (\d+),")


class Instance:
    """Instance of a training job: its own model folder, and a folder of checkpoints that outlives it."""

    def __init__(self, root: Path, channels: dict[str, str]) -> None:
        self.model, self._checkpoints = root / "model", root / "checkpoints"
        self._environment = {
            **os.environ,
            **channels,
            "OMP_NUM_THREADS": "1",
            "SM_MODEL_DIR": str(self.model),
            "SM_OUTPUT_DATA_DIR": str(root / "output/data"),
        }

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "ml.ncf.jobs.train", *FLAGS]
        command += ["--checkpoint-dir", str(self._checkpoints)]
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.model.iterdir() if path.is_file()}


def epochs_until(process: subprocess.Popen[str], last: int) -> list[int]:
    """Epochs of the first phase in the log of a running job, up to and including one."""
    assert process.stdout is not None
    found: list[int] = []
    for line in process.stdout:
        found += [int(number) for number in EPOCH.findall(line)]
        if last in found:
            return found
    raise AssertionError(f"the job ended after epochs {found}")


@pytest.fixture(scope="module")
def uninterrupted(channels: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Instance:
    instance = Instance(tmp_path_factory.mktemp("uninterrupted"), channels)
    process = instance.start()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert [int(number) for number in EPOCH.findall(output)] == list(range(1, 31))
    return instance


def test_killed_job_continues_from_its_checkpoint_to_the_same_artifact(
    uninterrupted: Instance, channels: dict[str, str], tmp_path: Path
) -> None:
    instance = Instance(tmp_path, channels)
    first = instance.start()
    epochs_until(first, 7)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    assert not instance.model.exists()
    second = instance.start()
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 0, output
    numbers = [int(number) for number in EPOCH.findall(output)]
    assert 7 <= numbers[0] <= 29  # the checkpoint of epoch 7 may lack when the line is read
    assert numbers == list(range(numbers[0], 31))
    assert instance.files() == uninterrupted.files()
