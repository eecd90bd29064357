from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bench import prepared_runs as prepared
from ml.ncf.data.prepared_run import PreparedRun, read_run
from ml.ncf.jobs import train

N_USERS, N_ITEMS = 120, 120


@pytest.fixture(scope="session")
def prepared_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared run of the grouped shop."""
    folder = tmp_path_factory.mktemp("prepared")
    return prepared.write_run(folder, prepared.grouped_shop(N_USERS, N_ITEMS), N_USERS, N_ITEMS)


@pytest.fixture(scope="session")
def run(prepared_run: Path) -> PreparedRun:
    """That run, as the jobs read it."""
    return read_run(lambda name: prepared_run / name if (prepared_run / name).is_dir() else prepared_run)


@pytest.fixture(scope="session")
def channels(prepared_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a training job on that run."""
    return prepared.mount(prepared_run, tmp_path_factory.mktemp("channels"))


@pytest.fixture(scope="session")
def model_dir(channels: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked artifact of a short training on that run."""
    folder = tmp_path_factory.mktemp("job")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in channels.items():
            patch.setenv(name, value)
        flags = ["--preset", "gmf", "--epochs", "12", "--pointwise-epochs", "12", "--batch_size", "16"]
        flags += ["--factor-num", "16", "--embedding-std", "0.3"]
        folders = ["--model-dir", str(folder / "model"), "--output-data-dir", str(folder / "output/data")]
        code = train.main(flags + folders)
    assert code == 0
    return folder / "model"


@pytest.fixture
def free_port() -> int:
    """A free TCP port of this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
