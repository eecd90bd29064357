"""Logs: CloudWatch Logs in moto, a file per log stream, and the emulator's own log files."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from emulator import moto_state

LogListener = Callable[[str, str, str], None]  # group, stream, line
MAX_LOG_FILE_BYTES = 16 * 2**20  # per log file of the emulator; one rotated file is kept
FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class Logs:
    """Log lines of the functions, builds, steps and jobs of one emulator."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._listeners: list[LogListener] = []
        self._own_logs: list[tuple[logging.Logger, logging.Handler]] = []

    def open(self, **loggers: logging.Logger) -> None:
        """Write each logger to the file ``<argument name>.log`` only."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, logger in loggers.items():
            path = self._folder / f"{name}.log"
            handler = RotatingFileHandler(path, maxBytes=MAX_LOG_FILE_BYTES, backupCount=1, encoding="utf-8")
            handler.setFormatter(logging.Formatter(FORMAT))
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
            logger.propagate = False  # not to the terminal
            self._own_logs.append((logger, handler))

    def close(self) -> None:
        """Detach the loggers and close their files."""
        while self._own_logs:
            logger, handler = self._own_logs.pop()
            logger.removeHandler(handler)
            logger.propagate = True
            handler.close()

    def put(self, group: str, stream: str, line: str, region: str) -> None:
        """Append an event to CloudWatch Logs, then call `write_line`."""
        backend = moto_state.backend("logs", region)
        with self._lock:
            backend.ensure_log_group(group)
            backend.ensure_log_stream(group, stream)
            if line:  # CloudWatch Logs refuses empty events
                event = {"timestamp": int(time.time() * 1000), "message": line}
                backend.put_log_events(group, stream, [event])
        self.write_line(group, stream, line)

    def write_line(self, group: str, stream: str, line: str) -> None:
        """Append a line to the stream's file and call the listeners."""
        path = self.path(group, stream)
        with self._lock:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        for listener in list(self._listeners):
            listener(group, stream, line)

    def path(self, group: str, stream: str) -> Path:
        """File of a log stream."""
        folders = [file_name(part) for part in group.split("/") if part]
        return self._folder.joinpath(*folders, f"{file_name(stream)}.log")

    def listen(self, listener: LogListener) -> None:
        """Call the listener for every line from now on."""
        self._listeners.append(listener)


def file_name(name: str) -> str:
    """The name with characters that are not portable in file names replaced."""
    return re.sub(r"[^A-Za-z0-9._=$-]+", "_", name) or "_"
