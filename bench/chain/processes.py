"""Processes of a step in progress: finding, measuring, killing, and a disk that is full for a while."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import psutil

from emulator.process_tree import tree

POLL_S = 0.03
FILE_LIMIT_BYTES = 512  # of a process whose disk is full
TRAINING, EVALUATION, BUILD = "ml.ncf.jobs.train", "ml.ncf.jobs.evaluate", "ml.pipeline"
INSTALL, SERVING = "pip", "inference_server.py"

Children = Callable[[], Collection[int]]  # process ids of the emulator's children


def running(children: Children, *programs: str) -> list[psutil.Process]:
    """Running processes below the children whose command line has a word that ends with a program's name."""
    found = []
    for pid in (each for child in children() for each in tree(child)):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if any(word.endswith(programs) for word in process.cmdline()):
                found.append(process)
    return found


def wait_for(children: Children, programs: Sequence[str], timeout_s: float) -> psutil.Process | None:
    """The newest process of a program, when there is one; None if none comes in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := running(children, *programs):
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
def measured(children: Children, *programs: str) -> Iterator[dict[str, float]]:
    """Seconds for which the processes of each program run during the block."""
    seen: dict[str, tuple[float, float]] = {}
    seconds: dict[str, float] = {}

    def look() -> None:
        for program in programs:
            if running(children, program):
                now = time.monotonic()
                first, _ = seen.get(program, (now, now))
                seen[program] = first, now

    with _repeated(look):
        yield seconds
    seconds.update({program: last - first for program, (first, last) in seen.items()})


@contextmanager
def full_disk(children: Children, *programs: str) -> Iterator[None]:
    """No process of the programs can write files during the block, except files of a few bytes."""

    def limit() -> None:
        for process in running(children, *programs):
            with contextlib.suppress(psutil.Error):
                process.rlimit(psutil.RLIMIT_FSIZE, (FILE_LIMIT_BYTES, FILE_LIMIT_BYTES))

    with _repeated(limit):
        yield


@contextmanager
def _repeated(call: Callable[[], None]) -> Iterator[None]:
    """Call a function again and again during the block."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(POLL_S):
            call()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
