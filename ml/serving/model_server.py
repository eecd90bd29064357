"""TorchServe, the parent of the container's workers: it is stopped when the artifact cannot be loaded.

TorchServe starts a failed worker again and again. Its health check answers 200 meanwhile, for five minutes by
default (its setting maxRetryTimeoutInSec), and requests wait until they time out: a rollout would take such a
container for a healthy one.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path

MAIN_CLASS = "org.pytorch.serve.ModelServer"
LOG_DELAY_S = 1.0  # TorchServe copies the worker's output to the log of the container

_log = logging.getLogger(__name__)


def stop(reason: str) -> None:
    """Log the reason and end TorchServe, and with it the container, if the parent is TorchServe."""
    parent = os.getppid()
    if not _is_torchserve(parent):
        return
    _log.error("The artifact cannot be served, and the container stops: %s", reason)
    time.sleep(LOG_DELAY_S)
    if _is_torchserve(parent):  # not yet stopped by another worker
        os.kill(parent, signal.SIGTERM)


def _is_torchserve(pid: int) -> bool:
    try:
        return MAIN_CLASS.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:  # ended, or a system without /proc
        return False
