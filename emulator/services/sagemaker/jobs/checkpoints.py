"""Checkpoints of a training job: restored before the container starts, stored in S3 while it runs."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from types import TracebackType

from emulator.services.sagemaker.s3_files import S3Files, S3FilesError, join_uri

POLL_S = 1.0
REWRITE_S = 5.0  # a file that changes all the time is stored this often; SageMaker states no interval


class CheckpointUpload:
    """Stores the files of a folder as they change, and all changes at the end.

    SageMaker copies the folder to S3 while the container runs: what a container that is killed has written
    is there. Files that the container deletes stay in S3.

    Raises, at the end of the block:
        S3FilesError: S3 refused a file.
    """

    def __init__(self, s3: S3Files, folder: Path, uri: str) -> None:
        self._s3 = s3
        self._folder = folder
        self._uri = uri
        self._stored: dict[Path, tuple[tuple[int, int], float]] = {}  # file: (time and size, time of storage)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"checkpoints of {uri}", daemon=True)

    def __enter__(self) -> CheckpointUpload:
        for path in self._files():  # restored ones are in S3
            self._stored[path] = (_state(path), 0.0)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._store(rewrite_s=0.0)

    def _run(self) -> None:
        with contextlib.suppress(S3FilesError):  # the last upload meets it again, and fails the job
            while not self._ended.wait(POLL_S):
                self._store(REWRITE_S)

    def _store(self, rewrite_s: float) -> None:
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):  # the container has replaced or deleted it
                state = _state(path)
                stored, moment = self._stored.get(path, (None, 0.0))
                if state != stored and time.monotonic() - moment >= rewrite_s:
                    self._s3.upload_file(path, join_uri(self._uri, path.relative_to(self._folder).as_posix()))
                    self._stored[path] = (state, time.monotonic())

    def _files(self) -> list[Path]:
        return sorted(path for path in self._folder.rglob("*") if path.is_file())


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size
