from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ml.serving.model_server import MAIN_CLASS

ROOT = Path(__file__).resolve().parents[3]
WORKER = (
    "from ml.serving import model_server; model_server.stop('index/order.npy: damaged'); print('goes on')"
)
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORKER!r}], check=True)"


@pytest.mark.parametrize(
    ("program", "status", "logged"),
    [(MAIN_CLASS, -signal.SIGTERM, "index/order.npy: damaged"), ("another.Server", 0, "")],
)
def test_only_torchserve_is_stopped_by_its_worker(program: str, status: int, logged: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARENT, program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status
    assert logged in done.stderr
    assert "goes on" in done.stdout
