"""Deployment of a stage to the emulator: run its Pulumi program and create the registered resources.

Implements the parts of the Pulumi engine and the AWS provider that a first `pulumi up` uses. No state is
kept, because the emulator starts empty and its resources are deleted when it stops.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from botocore.exceptions import ClientError

from emulator.app import Emulator
from local.deploy import program, schema, values
from local.deploy.context import Context, Creator
from local.deploy.creators import CREATORS
from local.deploy.errors import CreateError, UnusedInputError
from local.deploy.inputs import Inputs
from local.deploy.monitor import Created, Monitor, Registration, refuse_unknown
from local.deploy.not_emulated import NOT_EMULATED
from local.deploy.project import load_stage

Progress = Callable[[str, str, int], None]
"""Called after each created resource with its type, its logical name and the number of created resources."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """Created resource."""

    type: str
    name: str
    urn: str
    id: str
    outputs: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Result of a deployment: stack outputs and created resources.

    Attributes:
        outputs: stack outputs by name, secrets in plain text.
        secret_outputs: names of the secret outputs.
        not_emulated: inputs of the stage that have no effect in the emulator, as type and path.
    """

    outputs: dict[str, Any]
    secret_outputs: frozenset[str] = frozenset()
    resources: list[Resource] = field(default_factory=list)
    not_emulated: frozenset[tuple[str, str]] = frozenset()

    def shown(self) -> dict[str, Any]:
        """Stack outputs with masked secrets, for display."""
        return {
            name: values.MASK if name in self.secret_outputs else value
            for name, value in self.outputs.items()
        }


def deploy(
    stage: str,
    *,
    root: Path,
    emulator: Emulator,
    role_arn: str | None = None,
    on_progress: Progress | None = None,
    creators: Mapping[str, Creator] = CREATORS,
    not_emulated: Container[tuple[str, str]] = NOT_EMULATED,
) -> Deployment:
    """Run the program of a stage against a running emulator.

    Args:
        role_arn: role with whose credentials the resources are created; None: the account's administrator.
        creators: type token to the function that creates resources of that type.
        not_emulated: inputs that may have no effect, as type and path.

    Raises:
        ProjectError: the stage's files or its configuration are invalid.
        CreateError: the emulator rejected a resource, or an input has no effect.
        ProgramError: a look-up, a duplicate URN, an output that was not computed, or an exception.
    """
    settings = load_stage(stage, root)
    context = Context(emulator=emulator, stage=settings, role_arn=role_arn)
    provider = EmulatorProvider(
        context, creators, not_emulated, on_progress or (lambda _type, _name, _n: None)
    )
    monitor = Monitor(project=settings.project, stack=settings.name, create=provider.create)
    program.run(settings, monitor)
    return Deployment(
        outputs=dict(sorted(monitor.stack_outputs().items())),
        secret_outputs=frozenset(values.secret_keys(monitor.exports)),
        resources=provider.resources,
        not_emulated=frozenset(provider.not_emulated),
    )


class EmulatorProvider:
    """AWS provider for the emulator: calls the creator of a type and checks that it used all inputs."""

    def __init__(
        self,
        context: Context,
        creators: Mapping[str, Creator],
        not_emulated: Container[tuple[str, str]],
        on_progress: Progress,
    ) -> None:
        self.resources: list[Resource] = []
        self.not_emulated: set[tuple[str, str]] = set()
        self._context, self._creators, self._declared = context, creators, not_emulated
        self._on_progress = on_progress
        self._lock = Lock()

    def create(self, registration: Registration) -> Created:
        """Create a resource.

        Raises:
            CreateError: the message names the resource, and the input if one is the cause.
        """
        subject = f"{registration.type} {registration.name}"
        creator = self._creators.get(registration.type)
        if creator is None:
            raise CreateError(f"{subject}: the emulator has no such resource type")
        inputs, common = self._inputs(registration)
        try:
            resource_id, outputs = creator(self._context, registration.name, inputs)
        except ClientError as error:
            details = error.response["Error"]
            cause = f"{error.operation_name}: {details.get('Code')}: {details.get('Message')}"
            raise CreateError(f"{subject}: {cause}") from error
        except CreateError as error:
            raise CreateError(f"{subject}: {error.reason}") from error
        except Exception as error:
            reason = " ".join(str(error).split())
            raise CreateError(f"{subject}: {type(error).__name__}: {reason}") from error
        self._check_used(registration, inputs)
        self._keep(registration, resource_id, common | outputs)
        return Created(id=resource_id, outputs=common | outputs)

    def _inputs(self, registration: Registration) -> tuple[Inputs, dict[str, Any]]:
        """Inputs with the provider's defaults, and the outputs that all types have."""
        decoded = values.decode(registration.properties)
        refuse_unknown(registration, decoded)
        region = decoded.pop("region", self._context.region)
        if region != self._context.region:
            raise CreateError(f"{registration.type} {registration.name}: region {region} is not the stage's")
        common: dict[str, Any] = {"region": region}
        if "tagsAll" in schema.outputs(registration.type):
            tags = self._context.stage.default_tags | decoded.get("tags", {})
            decoded["tags"] = tags or None
            common["tagsAll"] = tags
        return Inputs(decoded), common

    def _check_used(self, registration: Registration, inputs: Inputs) -> None:
        """Check that every input was used and returned by the service, or is declared as not emulated."""
        without_effect = {
            re.sub(r"\[\d+\]", "[]", path): path for path in (*inputs.unused(), *inputs.dropped)
        }
        declared = {path for path in without_effect if (registration.type, path) in self._declared}
        self.not_emulated.update((registration.type, path) for path in declared)
        if undeclared := [path for key, path in without_effect.items() if key not in declared]:
            raise UnusedInputError(registration.type, registration.name, undeclared)

    def _keep(self, registration: Registration, resource_id: str, outputs: dict[str, Any]) -> None:
        with self._lock:
            self.resources.append(
                Resource(
                    type=registration.type,
                    name=registration.name,
                    urn=registration.urn,
                    id=resource_id,
                    outputs=outputs,
                )
            )
            self._on_progress(registration.type, registration.name, len(self.resources))
