"""Run Pulumi programs in this process, against a `Monitor` instead of the Pulumi engine."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import runpy
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import config as runtime_config
from pulumi.runtime import settings
from pulumi.runtime.mocks import MockEngine
from pulumi.runtime.stack import run_in_stack

from local.deploy.errors import ProgramError, ProjectError
from local.deploy.monitor import Monitor
from local.deploy.output_tasks import OutputTasks
from local.deploy.project import Stage

PROGRAM = "__main__.py"


def run(stage: Stage, monitor: Monitor) -> None:
    """Run the program of a stage until all its registrations and outputs are resolved.

    Raises:
        ProjectError: the program rejects its configuration (`pulumi.RunError`, which the Pulumi CLI also
            prints without a traceback).
        ProgramError: the first error of the monitor, or any other exception of the program.
    """

    def main() -> None:
        runpy.run_path(str(stage.root / PROGRAM), run_name="__main__")

    try:
        with contextlib.chdir(stage.root), _import_path(stage.root):
            execute(main, stage, monitor)
    except pulumi.RunError as error:
        raise ProjectError(str(error)) from error
    except ProgramError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ProgramError(f"{_origin(error, stage.root)}{reason}") from error


def execute(
    main: Callable[[], Any], stage: Stage, monitor: Monitor, *, timeout_s: float | None = None
) -> None:
    """Run `main` as a Pulumi program until all its registrations and outputs are resolved.

    Pulumi keeps settings, configuration and root resource in context variables, and the event loop is new,
    so that one process can run any number of programs.

    Args:
        timeout_s: maximum duration; None waits without a limit.

    Raises:
        Exception: the first error of the monitor, otherwise the exception of the program.
        TimeoutError: an output was not resolved within `timeout_s`.
    """
    failure: Exception | None = None
    try:
        contextvars.copy_context().run(_execute, main, stage, monitor, timeout_s)
    except Exception as error:
        failure = error
    # An exception of the program may be a consequence of the monitor's first error.
    if (cause := monitor.error or failure) is not None:
        raise cause


def _execute(main: Callable[[], Any], stage: Stage, monitor: Monitor, timeout_s: float | None) -> None:
    settings.ROOT.set(None)
    runtime_config.set_all_config(stage.config, [])
    runtime = settings.Settings(
        project=stage.project,
        stack=stage.name,
        organization="organization",  # the engine's name for no organization
        root_directory=str(stage.root),
        monitor=monitor,
        engine=MockEngine(logging.getLogger("pulumi.program")),
        dry_run=False,
    )
    runtime.outputs = OutputTasks()
    settings.configure(runtime)
    asyncio.run(_await(main, timeout_s))


async def _await(main: Callable[[], Any], timeout_s: float | None) -> None:
    # A failed resource rejects many futures, of which only one is awaited; the monitor keeps the error.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)

    def program() -> None:
        main()

    await asyncio.wait_for(run_in_stack(program), timeout_s)


def _origin(error: Exception, root: Path) -> str:
    """The innermost line of the project in the traceback, such as `stacks/serving.py:31: `."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(root) and ".venv" not in path.parts:
            return f"{path.relative_to(root)}:{frame.lineno}: "
    return ""


@contextlib.contextmanager
def _import_path(root: Path) -> Iterator[None]:
    """The program's folder as first entry of the import path, as in Pulumi's language host."""
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))
