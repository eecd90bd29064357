"""Container of a job: a child process with a private ``/opt/ml``."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from emulator.enter import CANNOT_RUN, EXIT_CANNOT_RUN
from emulator.environment import PIP_ENVIRONMENT, PYTHON_PATH
from emulator.processes import Child
from emulator.region import Region
from emulator.services.sagemaker.container_files import ContainerFiles
from emulator.services.sagemaker.errors import MAX_FAILURE_REASON
from emulator.services.sagemaker.execution_role import SESSION

StoppedBy = Literal["request", "runtime"]
STOP_GRACE_S = 5.0  # SageMaker waits 120 s between SIGTERM and SIGKILL
# Dockerfiles of the PyTorch Deep Learning Containers.
IMAGE_ENVIRONMENT = {
    "PATH": PYTHON_PATH,
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONIOENCODING": "UTF-8",
    "PYTHONUNBUFFERED": "1",
}
DEFAULT_MAX_RUNTIME_S = 86_400  # API reference, StoppingCondition


class JobFailedError(Exception):
    """A job failed; the message is its FailureReason, ``ClientError: …`` or ``AlgorithmError: …``."""


@dataclass(frozen=True)
class ContainerExit:
    """End of a container: exit status and reason.

    Attributes:
        exit_code: exit status; 128 plus the signal number for a signal.
        stopped_by: why it was stopped, None when it ended by itself.
        last_line: last line of its output that is not blank.
    """

    exit_code: int
    stopped_by: StoppedBy | None
    last_line: str


class JobContainer:
    """Child process that can be stopped, also before it has started."""

    def __init__(
        self, region: Region, files: ContainerFiles, role_arn: str, on_line: Callable[[str], None]
    ) -> None:
        self._region = region
        self._role_arn = role_arn
        self._files = files
        self._on_line = on_line
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._stopped_by: StoppedBy | None = None
        self._last_line = ""

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped_by is not None

    def run(self, command: Sequence[str], env: Mapping[str, str], max_runtime_s: float) -> ContainerExit:
        """Run the command until it ends, reaches its maximum runtime or is stopped.

        Raises:
            JobFailedError: the command cannot be started.
        """
        argv = [self._files.reroot(word) for word in command]
        with self._lock:
            if self._stopped_by:
                return ContainerExit(0, self._stopped_by, "")
            try:
                variables = container_environment(self._region, self._files.reroot_all(env), self._role_arn)
                self._child = self._files.start(self._region.host, argv, variables, on_line=self._read_line)
            except OSError as error:
                raise _entrypoint_error(f"{argv[0]}: {error.strerror}") from error
        try:
            status = self._child.wait(max_runtime_s)
        except subprocess.TimeoutExpired:
            self.stop("runtime")
            status = self._child.wait()
        if status == EXIT_CANNOT_RUN and self._last_line.startswith(CANNOT_RUN):
            raise _entrypoint_error(self._last_line.removeprefix(CANNOT_RUN).strip())
        exit_code = status if status >= 0 else 128 - status  # a signal, as containers report it
        return ContainerExit(exit_code, self._stopped_by, self._last_line)

    def stop(self, because: StoppedBy = "request") -> None:
        """Send SIGTERM, then SIGKILL."""
        with self._lock:
            self._stopped_by = self._stopped_by or because
            child = self._child
        if child is not None:
            child.stop(STOP_GRACE_S)

    def _read_line(self, line: str) -> None:
        if line.strip():
            self._last_line = line.strip()
        self._on_line(line)


def _entrypoint_error(reason: str) -> JobFailedError:
    return JobFailedError(f"ClientError: Unable to run the container entrypoint {reason}")


def container_environment(
    region: Region, variables: Mapping[str, str], role_arn: str | None
) -> dict[str, str]:
    """Environment variables of a container's process: machine, image, SageMaker and request.

    Without a role (network isolation) the container has no credentials.
    """
    return {
        **region.machine_env(),
        **PIP_ENVIRONMENT,
        **IMAGE_ENVIRONMENT,
        "AWS_REGION": region.name,
        **(region.container_env(role_arn, SESSION) if role_arn else {}),
        **variables,
    }


def algorithm_error(text: str, exit_code: int) -> str:
    """``AlgorithmError: text, exit code: 1``, cut to the maximum length of a FailureReason."""
    tail = f", exit code: {exit_code}"
    head = f"AlgorithmError: {text}"
    return head[: MAX_FAILURE_REASON - len(tail)] + tail


def log_stream(job_name: str) -> str:
    """Log stream of a job's only host: ``<job>/algo-1-<epoch seconds>``."""
    return f"{job_name}/algo-1-{int(time.time())}"


def command_of(specification: Mapping[str, Any]) -> list[str]:
    """ContainerEntrypoint followed by ContainerArguments; empty without an entrypoint."""
    entrypoint = specification.get("ContainerEntrypoint") or []
    arguments = specification.get("ContainerArguments") or []
    return [*entrypoint, *arguments] if entrypoint else []
