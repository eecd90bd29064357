"""Child processes: output, limits, stopping, and their end with the emulator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from emulator.processes import Processes
from tests.polling import eventually

ROOT = Path(__file__).parents[2]
ENV = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "MARK": "a b"}
# Process tree with a child in another session and one that ignores SIGTERM.
PROCESS_TREE = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "300"], start_new_session=True)
subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 300 & wait"])
print("ready", flush=True)
time.sleep(300)
"""
# An emulator that runs a function, a build and a process tree.
HOST = """
import signal, sys, threading, time
from pathlib import Path
from emulator.app import Emulator
from emulator.region import Region
from tests.emulator.support import WRITE_LOGS, make_function, make_role
from tests.polling import eventually
PROCESS_TREE = sys.argv[2]
BUSY = "import time\\ndef handler(e, c):\\n    print('busy')\\n    time.sleep(60)"
def main():
    with Emulator(root=Path(sys.argv[1])).start() as emulator:
        lines = []
        emulator.listen(lambda group, stream, line: lines.append(line))
        make_function(emulator, "busy", BUSY, Timeout=60)
        emulator.client("lambda").invoke(FunctionName="busy", InvocationType="Event")
        role = make_role(emulator, "builder", "codebuild.amazonaws.com", WRITE_LOGS)
        spec = "version: 0.2\\nphases: {build: {commands: ['echo busy; sleep 300']}}"
        emulator.client("codebuild").create_project(
            name="build",
            serviceRole=role,
            source={"type": "NO_SOURCE", "buildspec": spec},
            artifacts={"type": "NO_ARTIFACTS"},
            environment={"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL"})
        emulator.client("codebuild").start_build(projectName="build")
        command = [sys.executable, "-c", PROCESS_TREE]
        env = Region(emulator.host, emulator.region).machine_env()
        emulator.host.processes.start(command, cwd=Path.cwd(), env=env, on_line=lines.append)
        eventually(lambda: lines.count("busy") == 2 and "ready" in lines, 50)
        print(f"up {emulator.url}", flush=True)
        time.sleep(300)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores SIGINT in background jobs
try:
    main()
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Child processes, ended after the test."""
    started = Processes()
    yield started
    started.close()


def python(code: str) -> list[str]:
    """Command that runs Python code."""
    return [sys.executable, "-c", code]


def test_child_environment_lines_and_status(processes: Processes, tmp_path: Path) -> None:
    lines: list[str] = []
    child = processes.start(
        ["sh", "-c", "echo one; echo two >&2; pwd; env | grep -v ^_= | sort; exit 3"],
        cwd=tmp_path,
        env=ENV,
        on_line=lines.append,
    )
    assert (child.wait(), child.ended_by) == (3, None)
    assert lines[:3] == ["one", "two", str(tmp_path)]
    assert {line.partition("=")[0] for line in lines[3:]} <= {*ENV, "PWD", "OLDPWD", "SHLVL"}
    assert "MARK=a b" in lines


def test_standard_error_has_its_own_callback(processes: Processes, tmp_path: Path) -> None:
    out: list[str] = []
    err: list[str] = []
    child = processes.start(
        ["sh", "-c", "echo out; echo err >&2"],
        cwd=tmp_path,
        env=ENV,
        on_line=out.append,
        on_error_line=err.append,
    )
    assert (child.wait(10), out, err) == (0, ["out"], ["err"])


def test_child_is_killed_at_time_limit(processes: Processes, tmp_path: Path) -> None:
    began = time.monotonic()
    child = processes.start(["sleep", "60"], cwd=tmp_path, env=ENV, on_line=print, timeout_s=0.3)
    assert (child.wait(), child.ended_by) == (-signal.SIGKILL, "timeout")
    assert time.monotonic() - began < 10


def test_process_tree_is_killed_at_memory_limit(processes: Processes, tmp_path: Path) -> None:
    child = "x = bytearray(300 * 2**20); import time; time.sleep(60)"
    allocate = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    parent = processes.start(python(allocate), cwd=tmp_path, env=ENV, on_line=print, memory_mib=200)
    assert (parent.wait(), parent.ended_by) == (-signal.SIGKILL, "memory")


def test_stop_ends_every_descendant(processes: Processes, tmp_path: Path) -> None:
    lines: list[str] = []
    child = processes.start(python(PROCESS_TREE), cwd=tmp_path, env=ENV, on_line=lines.append)
    eventually(lambda: lines)
    tree = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
    assert len(tree) >= 4
    child.stop(grace_s=0.2)
    assert child.ended_by == "stop"
    eventually(lambda: not any(_alive(process) for process in tree))


def test_background_process_ends_with_its_command(processes: Processes, tmp_path: Path) -> None:
    lines: list[str] = []
    command = ["sh", "-c", "sleep 300 & echo $!"]
    assert processes.start(command, cwd=tmp_path, env=ENV, on_line=lines.append).wait() == 0
    eventually(lambda: not psutil.pid_exists(int(lines[0])) or not _alive(psutil.Process(int(lines[0]))))


def test_start_after_close_is_refused(tmp_path: Path) -> None:
    processes = Processes()
    processes.close()
    with pytest.raises(RuntimeError, match="closing"):
        processes.start(["true"], cwd=tmp_path, env=ENV, on_line=print)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_no_child_process_survives_the_emulator_process(tmp_path: Path, signum: signal.Signals) -> None:
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path), PROCESS_TREE],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert host.stdout is not None
        first = host.stdout.readline()
        assert first.startswith("up ")
        url = first.split()[1]
        children = _of_emulator(url)
        assert len(children) >= 6  # 1 of the function, at least 1 of the build, 4 of the process tree
        host.send_signal(signum)
        status = host.wait(60)
        assert status == (130 if signum is signal.SIGINT else -signal.SIGKILL)
        eventually(lambda: not _of_emulator(url))
        eventually(lambda: not any(_alive(process) for process in children))
    finally:
        host.kill()
        host.wait(10)


def _of_emulator(url: str) -> list[psutil.Process]:
    """Running processes whose environment contains the URL of this emulator."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("AWS_ENDPOINT_URL") == url and _alive(process):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
