"""Exit of a job: whatever ends it is one line on stderr and in the file that SageMaker shows as the reason.

SageMaker reads ``/opt/ml/output/failure`` of a training job (DescribeTrainingJob, FailureReason) and
``/opt/ml/output/message`` of a processing job (DescribeProcessingJob, ExitMessage). A process that is killed
with SIGKILL, as when memory runs out, leaves no reason: the services say that themselves.
"""

from __future__ import annotations

import argparse
import signal
import traceback
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn

from ml.ncf.training.console import log_error

REASON_BYTES = 1024  # SageMaker, DescribeTrainingJob: FailureReason is at most 1024 characters
STOPPED = 128 + signal.SIGTERM  # exit status, as shells report it


class StoppedError(BaseException):
    """The job got SIGTERM: it was stopped, or its spot instance is reclaimed."""


class JobParser(argparse.ArgumentParser):
    """Parser of a job's arguments, whose errors are also written as the reason of the failure."""

    def __init__(self, *, prog: str, description: str, reason_file: Path) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)
        self._reason_file = reason_file

    def error(self, message: str) -> NoReturn:
        write_reason(self._reason_file, f"{self.prog}: {message}")
        super().error(message)


class JobExit:
    """Context manager of a job: an error ends the block, and `status` is the exit status of the process.

    Args:
        name: of the job, before the message.
        reason_file: where SageMaker reads the reason; written only if its folder exists.
        expected: errors whose message is written for people; any other also gets its traceback on stderr.

    >>> with JobExit("training", reason_file, (ValueError,)) as job:
    ...     train(arguments)
    >>> return job.status
    """

    def __init__(self, name: str, reason_file: Path, expected: tuple[type[Exception], ...]) -> None:
        self.status = 0
        self._name = name
        self._reason_file = reason_file
        self._expected = expected

    def __enter__(self) -> JobExit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, StoppedError):
            self._fail("stopped by SIGTERM", STOPPED)
        elif isinstance(error, self._expected):
            self._fail(str(error))
        elif isinstance(error, Exception):
            traceback.print_exception(error)
            self._fail(f"unexpected {type(error).__name__}: {error}")
        else:
            return False  # no error, or one such as SystemExit that is not the job's
        return True

    def _fail(self, reason: str, status: int = 1) -> None:
        self.status = status
        write_reason(self._reason_file, log_error(f"{self._name}: {reason}"))


def stop_on_sigterm() -> None:
    """Let SIGTERM raise StoppedError in the main thread; without it, Python ends at once and in silence."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise StoppedError

    signal.signal(signal.SIGTERM, stop)


def write_reason(path: Path, line: str) -> None:
    """Write the reason of a failure; a disk that has no room for it must not hide the failure itself."""
    try:
        if path.parent.is_dir():
            whole = line.encode()[:REASON_BYTES].decode(errors="ignore")  # no half of a character
            path.write_text(whole, encoding="utf-8")
    except OSError as error:
        log_error(f"{path}: cannot be written: {error}")
