"""Processes of a step in progress: finding, killing, and a disk that is full for a while."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

POLL_S = 0.03
FILE_LIMIT_BYTES = 512  # of a process whose disk is full
TRAINING, EVALUATION, BUILD = "ml.ncf.jobs.train", "ml.ncf.jobs.evaluate", "ml.pipeline"
INSTALL, SERVING = "pip", "inference_server.py"


def running(*programs: str) -> list[psutil.Process]:
    """Running descendants of this process whose command line has a word that ends with a program's name."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(word.endswith(programs) for word in child.cmdline()):
                found.append(child)
    return found


def wait_for(programs: Sequence[str], timeout_s: float) -> psutil.Process | None:
    """The newest process of a program, when there is one; None if none comes in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := running(*programs):
            return found[-1]
        time.sleep(POLL_S)
    return None


def kill(process: psutil.Process) -> bool:
    """Kill a process; whether it was running."""
    try:
        process.kill()
    except psutil.Error:
        return False
    return True


@contextmanager
def full_disk(*programs: str) -> Iterator[None]:
    """No process of the programs can write files during the block, except files of a few bytes."""
    ended = threading.Event()

    def limit() -> None:
        while not ended.wait(POLL_S):
            for process in running(*programs):
                with contextlib.suppress(psutil.Error):
                    process.rlimit(psutil.RLIMIT_FSIZE, (FILE_LIMIT_BYTES, FILE_LIMIT_BYTES))

    thread = threading.Thread(target=limit, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
