"""Resource monitor of a Pulumi program, in this process.

The Pulumi CLI runs a program as a child process that registers resources with the engine's resource monitor
over gRPC. Here the monitor is an object in the same process (Pulumi's testing interface,
`pulumi.runtime.mocks`), so that no CLI, backend or provider plugin is needed. Preview, deployment to the
emulator and the tests differ only in the function that computes a resource's outputs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.proto import resource_pb2

from local.deploy import schema, values
from local.deploy.errors import ProgramError

STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True, kw_only=True)
class Registration:
    """Resource as the program registers it.

    Attributes:
        parent: URN of the parent; empty for the stack.
        is_custom: managed by a provider; False for components.
        depends_on: input name to the URNs of the resources whose outputs the input contains.
        dependencies: URNs of all resources that this one depends on.
        replace_on_changes: inputs whose change replaces the resource, by choice of the program.
        delete_before_replace: the old resource is deleted first; None leaves it to the engine.
        aliases: earlier URNs.
    """

    type: str
    name: str
    urn: str
    parent: str
    is_custom: bool
    properties: struct_pb2.Struct
    depends_on: dict[str, list[str]] = field(default_factory=dict)
    dependencies: frozenset[str] = frozenset()
    secret_outputs: frozenset[str] = frozenset()
    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    delete_before_replace: bool | None = None
    aliases: tuple[str, ...] = ()

    @property
    def secrets(self) -> frozenset[str]:
        """Names of the secret properties: outputs of secret inputs are secret."""
        return self.secret_outputs | frozenset(values.secret_keys(self.properties))


@dataclass(frozen=True, kw_only=True)
class Created:
    """Result of creating a resource: its id and the outputs that the provider computes."""

    id: str
    outputs: dict[str, Any]


class Monitor(MockMonitor):
    """Resource monitor that records registrations and responds with the outputs that `create` returns.

    Registrations after the first error are rejected. Functions of providers, and existing resources, cannot
    be looked up: every look-up is an error.

    Attributes:
        registrations: the registered resources by URN, the stack included, in order.
        created: results of `create` by URN.
        error: the first error, or None.
    """

    def __init__(self, *, project: str, stack: str, create: Callable[[Registration], Created]) -> None:
        super().__init__(mocks=None)  # type: ignore[arg-type]  # all methods that use it are overridden
        self.registrations: dict[str, Registration] = {}
        self.created: dict[str, Created] = {}
        self.error: Exception | None = None
        self.exports = struct_pb2.Struct()
        self._project, self._stack = project, stack
        self._create = create
        self._lock = Lock()

    def stack_outputs(self) -> dict[str, Any]:
        """Stack outputs by name, secrets in plain text.

        Raises:
            ProgramError: an output depends on a value that was not computed.
        """
        outputs = values.decode(self.exports)
        for name, value in outputs.items():
            if values.is_unknown(value):
                raise ProgramError(f"the stack output {name} depends on a value that was not computed")
        return outputs

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """URN in the format of the Pulumi engine (https://www.pulumi.com/docs/iac/concepts/resources/names/#urns)."""
        parent_type = parent.split("::")[2] if parent else STACK_TYPE
        qualified = type_ if parent_type == STACK_TYPE else f"{parent_type}${type_}"
        return f"urn:pulumi:{self._stack}::{self._project}::{qualified}::{name}"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  # name of the RPC
        registration = Registration(
            type=request.type,
            name=request.name,
            urn=self.make_urn(request.parent, request.type, request.name),
            parent=request.parent,
            is_custom=request.custom,
            properties=request.object,
            depends_on={key: list(urns.urns) for key, urns in request.propertyDependencies.items()},
            dependencies=frozenset(request.dependencies),
            secret_outputs=frozenset(request.additionalSecretOutputs),
            protect=request.protect,
            ignore_changes=tuple(request.ignoreChanges),
            replace_on_changes=tuple(request.replaceOnChanges),
            delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
            aliases=tuple(self._alias_urns(request)),
        )
        with self._keep_first_error():
            self._record(registration)
            if not registration.is_custom:
                return resource_pb2.RegisterResourceResponse(urn=registration.urn, object=request.object)
            created = self._create(registration)
            with self._lock:
                self.created[registration.urn] = created
            return resource_pb2.RegisterResourceResponse(
                urn=registration.urn, id=created.id, object=_state(registration, created)
            )

    def _alias_urns(self, request: Any) -> Iterator[str]:
        """Earlier URNs of a resource; an alias without name, type or parent has those of today."""
        for alias in request.aliases:
            if alias.HasField("urn"):
                yield alias.urn
            else:
                spec = alias.spec
                parent = "" if spec.noParent else spec.parentUrn or request.parent
                yield self.make_urn(parent, spec.type or request.type, spec.name or request.name)

    def _record(self, registration: Registration) -> None:
        with self._lock:
            if self.error is not None:
                raise ProgramError(f"{registration.urn}: not created, because an earlier resource failed")
            if registration.urn in self.registrations:
                raise ProgramError(f"{registration.urn}: two resources have this URN; rename one of them")
            self.registrations[registration.urn] = registration

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        if request.urn.split("::")[2] == STACK_TYPE:
            self.exports = request.outputs
        return empty_pb2.Empty()

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        with self._keep_first_error():
            raise ProgramError(f"{request.type} {request.name}: the program reads an existing resource")

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        with self._keep_first_error():
            raise ProgramError(f"the program looks up {request.tok}: not available offline")

    def Call(self, request: Any) -> Any:  # noqa: N802
        with self._keep_first_error():
            raise ProgramError(f"the program calls the method {request.tok}: not available offline")

    @contextlib.contextmanager
    def _keep_first_error(self) -> Iterator[None]:
        """Keep the first error, because the SDK wraps or drops it in its event loop."""
        try:
            yield
        except Exception as error:
            with self._lock:
                self.error = self.error or error
            raise


def _state(registration: Registration, created: Created) -> struct_pb2.Struct:
    """Outputs for the program, which falls back to the input of the same name if an output is missing.

    Required outputs that were not computed are sent as unknown, so that a program that uses one fails
    (`refuse_unknown`) instead of reading None.
    """
    known = {key for key, value in created.outputs.items() if value is not None}
    missing = schema.required_outputs(registration.type) - known - set(registration.properties)
    return values.encode(created.outputs | dict.fromkeys(missing, values.UNKNOWN), registration.secrets)


def refuse_unknown(registration: Registration, inputs: dict[str, Any]) -> None:
    """Check that all inputs are known.

    Raises:
        ProgramError: an input depends on an output that was not computed; the message names the input and
            the resources that it depends on.
    """
    for key, value in inputs.items():
        if values.is_unknown(value):
            sources = ", ".join(registration.depends_on.get(key, ())) or "an output"
            raise ProgramError(
                f"{registration.type} {registration.name}: input {key} depends on an output "
                f"that was not computed, of {sources}"
            )
