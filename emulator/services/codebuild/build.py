"""One build: runs the phases of its buildspec, writes its log and updates its record."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emulator.processes import Child
from emulator.region import Region
from emulator.services.codebuild.buildspec import MARK, PHASES, Buildspec, Phase, script
from emulator.services.codebuild.folders import BuildFolders
from emulator.services.codebuild.inputs import BuildInputs, PhaseError

# CodeBuild user guide, "Build environment compute modes and types"
MEMORY_MIB = {
    "BUILD_GENERAL1_SMALL": 4 * 1024,
    "BUILD_GENERAL1_MEDIUM": 8 * 1024,
    "BUILD_GENERAL1_LARGE": 16 * 1024,
    "BUILD_GENERAL1_XLARGE": 72 * 1024,
    "BUILD_GENERAL1_2XLARGE": 144 * 1024,
}

# CodeBuild user guide, "Build phase transitions"
DEFAULT_ON_FAILURE = {"install": "ABORT", "pre_build": "ABORT", "build": "CONTINUE", "post_build": "CONTINUE"}


class BuildEndedError(Exception):
    """The build was stopped or ran out of time."""


class Build:
    """One build.

    Attributes:
        record: the build in BatchGetBuilds; changed in place.
    """

    def __init__(self, region: Region, record: dict[str, Any]) -> None:
        self.region = region
        self.record = record
        self.group = record["logs"]["groupName"]
        self.stream = record["logs"]["streamName"]
        self._child: Child | None = None
        self._ended = threading.Event()
        self._end_status = ""
        self._succeeding = True
        self._command = ""  # the running command; for the context of an error
        self._commands: tuple[str, ...] = ()

    def stop(self, status: str = "STOPPED") -> None:
        """End the build with this status."""
        if not self._ended.is_set():
            self._end_status = status
            self._ended.set()
            if self._child is not None:
                self._child.stop()

    def run(self) -> None:
        """Run all phases and set the final status."""
        timer = threading.Timer(self.record["timeoutInMinutes"] * 60, self.stop, args=("TIMED_OUT",))
        timer.daemon = True
        timer.start()
        try:
            self._close_phase("SUCCEEDED", quiet=True)  # QUEUED
            self._run_phases()
        except (BuildEndedError, PhaseError):
            self._succeeding = False
        finally:
            timer.cancel()
        with self._phase("FINALIZING", quiet=True):
            pass
        status = self._end_status or ("SUCCEEDED" if self._succeeding else "FAILED")
        now = time.time()
        self.record["phases"].append({"phaseType": "COMPLETED", "startTime": now})
        self.record |= {
            "currentPhase": "COMPLETED",
            "endTime": now,
            "buildComplete": True,
            "buildStatus": status,
        }

    def _run_phases(self) -> None:
        with self._phase("PROVISIONING", quiet=True):
            self._folders = BuildFolders(self.region.host, self.record["projectName"])
            inputs = BuildInputs(self.region, self.record, self._folders)
            inputs.check_role()
            inputs.check_log(self.group, self.stream)
        with self._phase("DOWNLOAD_SOURCE"):
            source = inputs.download_source()
            spec = inputs.read_buildspec(source)
            environment = inputs.environment(spec, source)
        for name in PHASES:
            self._run_phase(name, spec, source, environment)
        with self._phase("UPLOAD_ARTIFACTS", quiet=True):
            pass  # builds have no artifacts

    def _run_phase(self, name: str, spec: Buildspec, source: Path, environment: dict[str, str]) -> None:
        phase = spec.phases.get(name, Phase())
        try:
            with self._phase(name.upper()):
                if phase.runtime_versions:
                    versions = dict(phase.runtime_versions)
                    self._log(f"runtime-versions: {versions}: no effect, this machine's Python is used")
                try:
                    self._run_commands(phase.commands, spec.shell, source, environment)
                finally:
                    if not self._ended.is_set():
                        self._run_commands(phase.finally_, spec.shell, source, environment)
        except PhaseError:
            self._succeeding = False
            if (phase.on_failure or DEFAULT_ON_FAILURE[name]) == "ABORT":
                raise

    def _run_commands(
        self, commands: tuple[str, ...], shell: str, source: Path, environment: dict[str, str]
    ) -> None:
        if not commands:
            return
        program, state = self._folders.agent / "phase.sh", self._folders.agent / "state.sh"
        text = script(commands, self._folders.seen(state), self._succeeding)
        program.write_text(text, encoding="utf-8")
        self._commands, self._command = commands, commands[0]
        self._child = self._folders.start(
            [shell, self._folders.seen(program)],
            source,
            environment,
            on_line=self._on_line,
            memory_mib=MEMORY_MIB.get(self.record["environment"].get("computeType", "")),
        )
        if self._ended.is_set():  # stopped while the process was starting
            self._child.stop()
        status = self._child.wait()
        if self._ended.is_set():
            raise BuildEndedError
        if self._child.ended_by == "memory":
            raise self._command_failed("out of memory")
        if status != 0:
            raise self._command_failed(f"exit status {status}")

    def _command_failed(self, reason: str) -> PhaseError:
        self._log(f"Command did not exit successfully {self._command} {reason}")
        message = f"Error while executing command: {self._command}. Reason: {reason}"
        return PhaseError("COMMAND_EXECUTION_ERROR", message)

    def _on_line(self, line: str) -> None:
        text, marked, mark = line.partition(MARK)
        if text or not marked:
            self.region.log(self.group, self.stream, text)
        if marked and mark.startswith("run "):
            self._command = self._commands[int(mark.split()[1])]
            self._log(f"Running command {self._command}")

    # -- record and log ---------------------------------------------------------------------------
    @contextmanager
    def _phase(self, name: str, *, quiet: bool = False) -> Iterator[None]:
        """Context of one phase; its end sets the phase's status."""
        if self._ended.is_set() and name != "FINALIZING":
            raise BuildEndedError
        self.record["phases"].append({"phaseType": name, "startTime": time.time()})
        self.record["currentPhase"] = name
        if not quiet:
            self._log(f"Entering phase {name}")
        try:
            yield
        except PhaseError as error:
            self._close_phase("FAILED", error.code, str(error))
            raise
        except BuildEndedError:
            self._close_phase(self._end_status)
            raise
        except Exception as error:
            self._close_phase("FAULT", "INTERNAL_SERVICE_ERROR", f"{type(error).__name__}: {error}")
            raise PhaseError("INTERNAL_SERVICE_ERROR", str(error)) from error
        self._close_phase("SUCCEEDED", quiet=quiet)

    def _close_phase(self, status: str, code: str = "", message: str = "", *, quiet: bool = False) -> None:
        phase, now = self.record["phases"][-1], time.time()
        phase |= {
            "phaseStatus": status,
            "endTime": now,
            "durationInSeconds": int(now - phase["startTime"]),
            "contexts": [{"statusCode": code, "message": message}],
        }
        if not quiet:
            self._log(f"Phase complete: {phase['phaseType']} State: {status}")
            self._log(f"Phase context status code: {code} Message: {message}")

    def _log(self, line: str) -> None:
        now = datetime.now(UTC).strftime("%Y/%m/%d %H:%M:%S.%f")
        self.region.log(self.group, self.stream, f"[Container] {now} {line}")
