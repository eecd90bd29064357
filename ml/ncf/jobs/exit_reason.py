"""Exit of a job: whatever ends it is one line on stderr and in the file that SageMaker shows as the reason.

SageMaker reads ``/opt/ml/output/failure`` of a training job (DescribeTrainingJob, FailureReason) and
``/opt/ml/output/message`` of a processing job (DescribeProcessingJob, ExitMessage). A process that is killed
with SIGKILL, as when memory runs out, leaves no reason: the services say that themselves.
"""

from __future__ import annotations

import argparse
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
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


def exit_status(
    name: str, job: Callable[[], None], reason_file: Path, expected: tuple[type[Exception], ...]
) -> int:
    """Run a job; its exit status.

    Args:
        name: of the job, before the message.
        job: the work.
        reason_file: where SageMaker reads the reason; written only if its folder exists.
        expected: errors whose message is written for people; any other also gets its traceback on stderr.
    """
    try:
        job()
    except expected as error:
        write_reason(reason_file, log_error(f"{name}: {error}"))
        return 1
    except StoppedError:
        write_reason(reason_file, log_error(f"{name}: stopped by SIGTERM"))
        return STOPPED
    except Exception as error:
        traceback.print_exc()
        write_reason(reason_file, log_error(f"{name}: unexpected {type(error).__name__}: {error}"))
        return 1
    return 0


def stop_on_sigterm() -> None:
    """Let SIGTERM raise StoppedError in the main thread; without it, Python ends at once and in silence."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise StoppedError

    signal.signal(signal.SIGTERM, stop)


def write_reason(path: Path, line: str) -> None:
    """Write the reason of a failure; a disk that has no room for it must not hide the failure itself."""
    try:
        if path.parent.is_dir():
            path.write_bytes(line.encode()[:REASON_BYTES])
    except OSError as error:
        log_error(f"{path}: cannot be written: {error}")
