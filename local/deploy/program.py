"""Runs the Pulumi program of a stage, unchanged, against a monitor of this process.

The Pulumi CLI runs a program as a child that registers resources with the engine's *resource
monitor* over gRPC. Here the monitor is an object in the same process (Pulumi's own testing seam,
`pulumi.runtime.mocks`), so neither the CLI, nor a backend, nor a provider plugin is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import runpy
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import pulumi
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime import config as runtime_config
from pulumi.runtime import settings
from pulumi.runtime.mocks import MockEngine, MockMonitor
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.stack import run_in_stack

from local.deploy import schema, values
from local.deploy.errors import ProgramError, ProjectError
from local.deploy.project import Stage

PROGRAM = "__main__.py"
STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A resource as the program registers it."""

    type: str
    name: str
    urn: str
    parent: str  # urn; empty for the stack itself
    is_custom: bool  # managed by a provider, not a component
    properties: struct_pb2.Struct
    depends_on: dict[str, list[str]] = field(default_factory=dict)  # input -> urns
    secret_outputs: frozenset[str] = frozenset()

    @property
    def secrets(self) -> frozenset[str]:
        """The properties that are secret: secret inputs make secret outputs."""
        return self.secret_outputs | frozenset(values.secret_keys(self.properties))


@dataclass(frozen=True, kw_only=True)
class Created:
    """What a provider returns for a resource."""

    id: str
    outputs: dict[str, Any]


class Monitor(MockMonitor):
    """The resource monitor: hands each registration to `create` and answers with what that returns.

    The first error ends the deployment: what is registered after it is refused.
    """

    def __init__(self, stage: Stage, create: Callable[[Registration], Created]) -> None:
        super().__init__(mocks=None)  # type: ignore[arg-type]  # every method that uses it is overridden
        self.exports: struct_pb2.Struct = struct_pb2.Struct()
        self.registrations: dict[str, Registration] = {}
        self.error: Exception | None = None
        self._stage = stage
        self._create = create
        self._lock = Lock()

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """The URN that the Pulumi engine gives (https://www.pulumi.com/docs/iac/concepts/resources/names/#urns)."""
        parent_type = parent.split("::")[2] if parent else STACK_TYPE
        qualified = type_ if parent_type == STACK_TYPE else f"{parent_type}${type_}"
        return f"urn:pulumi:{self._stage.name}::{self._stage.project}::{qualified}::{name}"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  # the name of the RPC
        registration = Registration(
            type=request.type,
            name=request.name,
            urn=self.make_urn(request.parent, request.type, request.name),
            parent=request.parent,
            is_custom=request.custom,
            properties=request.object,
            depends_on={key: list(urns.urns) for key, urns in request.propertyDependencies.items()},
            secret_outputs=frozenset(request.additionalSecretOutputs),
        )
        with self._failing():
            self._record(registration)
            if not registration.is_custom:
                return resource_pb2.RegisterResourceResponse(urn=registration.urn, object=request.object)
            created = self._create(registration)
            return resource_pb2.RegisterResourceResponse(
                urn=registration.urn, id=created.id, object=self._state(registration, created)
            )

    def _record(self, registration: Registration) -> None:
        with self._lock:
            if self.error is not None:
                raise ProgramError(f"{registration.urn}: not created, since an earlier resource failed")
            if registration.urn in self.registrations:
                raise ProgramError(f"{registration.urn}: two resources have this URN; give one another name")
            self.registrations[registration.urn] = registration

    def _state(self, registration: Registration, created: Created) -> struct_pb2.Struct:
        """The outputs for the program; inputs that are not among them are outputs as they were given.

        An output that a real provider always gives and this one did not is sent as unknown, so that
        a program that reads it fails by name (`refuse_unknown`) instead of reading None.
        """
        known = {key for key, value in created.outputs.items() if value is not None}
        missing = schema.required_outputs(registration.type) - known - set(registration.properties)
        return values.encode(created.outputs | dict.fromkeys(missing, values.UNKNOWN), registration.secrets)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        if request.urn.split("::")[2] == STACK_TYPE:
            self.exports = request.outputs
        return empty_pb2.Empty()

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        with self._failing():
            raise ProgramError(f"{request.type} {request.name}: reads an existing resource; none is there")

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        with self._failing():
            raise ProgramError(
                f"the program looks up {request.tok}; provider look-ups have no offline answer"
            )

    def Call(self, request: Any) -> Any:  # noqa: N802
        with self._failing():
            raise ProgramError(f"the program calls {request.tok}; provider calls have no offline answer")

    @contextlib.contextmanager
    def _failing(self) -> Any:
        """Keep the first error: the SDK wraps it, or drops it, on its way through the event loop."""
        try:
            yield
        except Exception as error:
            with self._lock:
                self.error = self.error or error
            raise


def refuse_unknown(registration: Registration, inputs: dict[str, Any]) -> None:
    """Refuse inputs that depend on an output that was not computed.

    Raises:
        ProgramError: naming the input, and the resources whose outputs it depends on.
    """
    for key, value in inputs.items():
        if values.is_unknown(value):
            sources = ", ".join(registration.depends_on.get(key, ())) or "an output"
            raise ProgramError(
                f"{registration.type} {registration.name}: input {key} depends on an output "
                f"that the emulator does not compute, of {sources}"
            )


def run(stage: Stage, monitor: Monitor) -> None:
    """Run the stage's program until everything that it registers has settled.

    Pulumi's settings, config and root resource live in context variables, and the event loop is
    fresh: one process can run any number of programs.

    Raises:
        ProjectError: the program refuses its config (`pulumi.RunError`, which the Pulumi CLI prints
            without a traceback too).
        ProgramError: what the monitor's `create` raised first, or any other exception of the program.
    """
    failure: Exception | None = None
    try:
        contextvars.copy_context().run(_run, stage, monitor)
    except Exception as error:
        failure = error
    failure = monitor.error or failure  # the monitor has the cause, the program its consequences
    match failure:
        case None:
            return
        case pulumi.RunError():
            raise ProjectError(str(failure)) from failure
        case ProgramError():
            raise failure
        case _:
            reason = f"{type(failure).__name__}: {' '.join(str(failure).split())}"
            raise ProgramError(f"{_origin(failure, stage.root)}{reason}") from failure


def _origin(error: Exception, root: Path) -> str:
    """The innermost line of the project that an error went through, as `stacks/serving.py:31: `."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(root) and ".venv" not in path.parts:
            return f"{path.relative_to(root)}:{frame.lineno}: "
    return ""


def _run(stage: Stage, monitor: Monitor) -> None:
    settings.ROOT.set(None)
    runtime_config.set_all_config(stage.config, [])
    settings.configure(
        settings.Settings(
            project=stage.project,
            stack=stage.name,
            organization="organization",  # the engine's own name for "none"
            root_directory=str(stage.root),
            monitor=monitor,
            engine=MockEngine(logging.getLogger("pulumi.program")),
            dry_run=False,
        )
    )
    with contextlib.chdir(stage.root), _on_path(stage.root):
        asyncio.run(_awaited(stage.root / PROGRAM))


async def _awaited(program: Path) -> None:
    # A resource that fails rejects many futures, of which one is awaited; the monitor keeps the error.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)

    def main() -> None:
        runpy.run_path(str(program), run_name="__main__")

    await run_in_stack(main)


@contextlib.contextmanager
def _on_path(root: Path) -> Any:
    """The program's folder first on the import path, as the language host has it."""
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))
