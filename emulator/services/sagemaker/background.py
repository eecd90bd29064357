"""Background threads of jobs, steps and deployments."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from emulator.host import Host

logger = logging.getLogger("emulator")


def run_in_background(host: Host, name: str, work: Callable[[], None]) -> None:
    """Run ``work`` on a new daemon thread; its exceptions are logged."""

    def run() -> None:
        try:
            work()
        except Exception:
            log_exception(host, name)

    threading.Thread(target=run, name=name, daemon=True).start()


def log_exception(host: Host, what: str) -> None:
    """Log the exception being handled, unless the emulator is closing."""
    if not host.closing:
        logger.exception("%s", what)
