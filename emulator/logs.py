"""Logs: CloudWatch Logs in moto, the same lines in files, and the emulator's own diary."""

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
DIARY_BYTES = 16 * 2**20  # of each of the emulator's own logs; one older file is kept
FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class Logs:
    """The log lines of what runs in one emulator."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._listeners: list[LogListener] = []
        self._diaries: list[tuple[logging.Logger, logging.Handler]] = []

    def open(self, **diaries: logging.Logger) -> None:
        """Sends these loggers to files of their argument's name, and nowhere else."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, logger in diaries.items():
            path = self._folder / f"{name}.log"
            handler = RotatingFileHandler(path, maxBytes=DIARY_BYTES, backupCount=1, encoding="utf-8")
            handler.setFormatter(logging.Formatter(FORMAT))
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
            logger.propagate = False  # the terminal belongs to whoever runs the emulator
            self._diaries.append((logger, handler))

    def close(self) -> None:
        """Lets the loggers go."""
        while self._diaries:
            logger, handler = self._diaries.pop()
            logger.removeHandler(handler)
            logger.propagate = True
            handler.close()

    def put(self, group: str, stream: str, line: str, region: str) -> None:
        """One event in CloudWatch Logs, and what `tail` does."""
        backend = moto_state.backend("logs", region)
        with self._lock:
            backend.ensure_log_group(group)
            backend.ensure_log_stream(group, stream)
            if line:  # CloudWatch Logs takes no empty event
                event = {"timestamp": int(time.time() * 1000), "message": line}
                backend.put_log_events(group, stream, [event])
        self.tail(group, stream, line)

    def tail(self, group: str, stream: str, line: str) -> None:
        """The line in a file, and to whoever listens."""
        path = self.path(group, stream)
        with self._lock:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        for listener in list(self._listeners):
            listener(group, stream, line)

    def path(self, group: str, stream: str) -> Path:
        """Where a log stream lies as a file."""
        folders = [file_name(part) for part in group.split("/") if part]
        return self._folder.joinpath(*folders, f"{file_name(stream)}.log")

    def listen(self, listener: LogListener) -> None:
        """Calls the listener for every line from now on."""
        self._listeners.append(listener)


def file_name(name: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^A-Za-z0-9._=$-]+", "_", name) or "_"
