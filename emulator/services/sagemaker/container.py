"""One container of a job: a command in a private ``/opt/ml``, its output line by line, its end."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from emulator.processes import Child
from emulator.services.sagemaker.site import MAX_FAILURE_REASON, Site
from emulator.services.sagemaker.tree import ContainerTree

StoppedBy = Literal["request", "runtime"]
STOP_GRACE_S = 5.0  # SageMaker gives 120 s between SIGTERM and SIGKILL
DEFAULT_MAX_RUNTIME_S = 86_400  # API reference, StoppingCondition


class JobFailedError(Exception):
    """A job that failed; the message is its FailureReason, ``ClientError: …`` or ``AlgorithmError: …``."""


@dataclass(frozen=True)
class ContainerEnd:
    """How a container ended.

    Attributes:
        exit_code: its exit status; 128 and the signal's number for a signal.
        stopped_by: who stopped it, None when it ended by itself.
        last_line: the last line with text that it wrote.
    """

    exit_code: int
    stopped_by: StoppedBy | None
    last_line: str


class Container:
    """A command that can be stopped, also before it has started."""

    def __init__(self, site: Site, tree: ContainerTree, on_line: Callable[[str], None]) -> None:
        self._site = site
        self._tree = tree
        self._on_line = on_line
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._stopped_by: StoppedBy | None = None
        self._last_line = ""

    @property
    def stopped(self) -> bool:
        """Whether somebody asked it to stop."""
        return self._stopped_by is not None

    def run(self, command: Sequence[str], env: Mapping[str, str], max_runtime_s: float) -> ContainerEnd:
        """Runs the command to its end, its runtime or a stop.

        Raises:
            JobFailedError: the command can't be started.
        """
        argv = [self._tree.reroot(word) for word in command]
        with self._lock:
            if self._stopped_by:
                return ContainerEnd(0, self._stopped_by, "")
            try:
                self._child = self._site.host.processes.start(
                    argv,
                    cwd=self._tree.opt_ml,
                    env=self._site.child_env(self._tree.reroot_all(env)),
                    on_line=self._line,
                )
            except OSError as error:
                reason = f"ClientError: Unable to run the container entrypoint {argv[0]}: {error.strerror}"
                raise JobFailedError(reason) from error
        try:
            exit_code = self._child.wait(max_runtime_s)
        except subprocess.TimeoutExpired:
            self.stop("runtime")
            exit_code = self._child.wait()
        shown = exit_code if exit_code >= 0 else 128 - exit_code  # a signal, as a container's status shows it
        return ContainerEnd(shown, self._stopped_by, self._last_line)

    def stop(self, because: StoppedBy = "request") -> None:
        """SIGTERM, then SIGKILL."""
        with self._lock:
            self._stopped_by = self._stopped_by or because
            child = self._child
        if child is not None:
            child.stop(STOP_GRACE_S)

    def _line(self, line: str) -> None:
        if line.strip():
            self._last_line = line.strip()
        self._on_line(line)


def algorithm_error(text: str, exit_code: int) -> str:
    """``AlgorithmError: text, exit code: 1`` within the length that FailureReason may have."""
    tail = f", exit code: {exit_code}"
    head = f"AlgorithmError: {text}"
    return head[: MAX_FAILURE_REASON - len(tail)] + tail


def log_stream(name: str) -> str:
    """The stream of a job's only host: ``<job>/algo-1-<epoch>``."""
    return f"{name}/algo-1-{int(time.time())}"


def command_of(specification: Mapping[str, Any]) -> list[str]:
    """ContainerEntrypoint and ContainerArguments as one command; empty when there is no entrypoint."""
    entrypoint = specification.get("ContainerEntrypoint") or []
    arguments = specification.get("ContainerArguments") or []
    return [*entrypoint, *arguments] if entrypoint else []
