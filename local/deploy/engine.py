"""Deploys a stage: runs its Pulumi program and creates what it registers in the emulator.

This is the part of the Pulumi engine and the AWS provider that a first `pulumi up` needs. There is
no state: the emulator starts empty, and everything in it goes when it stops.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from botocore.exceptions import ClientError

from emulator.app import Emulator
from local.deploy import program, schema, values
from local.deploy.context import Context
from local.deploy.creators import CREATORS
from local.deploy.errors import CreateError, UnusedInputError
from local.deploy.inputs import Inputs
from local.deploy.monitor import Created, Monitor, Registration, refuse_unknown
from local.deploy.not_emulated import NOT_EMULATED
from local.deploy.project import load_stage

Progress = Callable[[str, str, int], None]
"""Called after each created resource with its type, its logical name and how many are created."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource in the emulator."""

    type: str
    name: str
    urn: str
    id: str
    outputs: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What a deployment left: the stack's outputs and its resources.

    Attributes:
        outputs: by name, secrets in plain text.
        secret_outputs: the names of those outputs that are secret.
        not_emulated: the declared inputs that the stage asked for in vain, as type and path.
    """

    outputs: dict[str, Any]
    secret_outputs: frozenset[str] = frozenset()
    resources: list[Resource] = field(default_factory=list)
    not_emulated: frozenset[tuple[str, str]] = frozenset()

    def shown(self) -> dict[str, Any]:
        """The outputs as they may be printed: secrets masked."""
        return {
            name: values.MASK if name in self.secret_outputs else value
            for name, value in self.outputs.items()
        }


def deploy(stage: str, *, root: Path, emulator: Emulator, on_progress: Progress | None = None) -> Deployment:
    """Run the program of a stage against an emulator that has started.

    Raises:
        ProjectError: the stage's files or its config cannot be used.
        CreateError: the emulator refused a resource, or does not honour one of its inputs.
        ProgramError: a look-up, a duplicate, an output that nobody computes, or a bug of the program.
    """
    settings = load_stage(stage, root)
    context = Context(emulator=emulator, stage=settings)
    provider = Provider(context, on_progress or (lambda _type, _name, _n: None))
    monitor = Monitor(project=settings.project, stack=settings.name, create=provider.create)
    program.run(settings, monitor)
    return Deployment(
        outputs=dict(sorted(monitor.stack_outputs().items())),
        secret_outputs=frozenset(values.secret_keys(monitor.exports)),
        resources=provider.resources,
        not_emulated=frozenset(provider.not_emulated),
    )


class Provider:
    """The AWS provider of the emulator: finds a type's creator and holds it to its inputs."""

    def __init__(self, context: Context, on_progress: Progress) -> None:
        self.resources: list[Resource] = []
        self.not_emulated: set[tuple[str, str]] = set()
        self._context = context
        self._on_progress = on_progress
        self._lock = Lock()

    def create(self, registration: Registration) -> Created:
        """Create one resource.

        Raises:
            CreateError: naming the resource, and the input where it is one.
        """
        what = f"{registration.type} {registration.name}"
        creator = CREATORS.get(registration.type)
        if creator is None:
            raise CreateError(f"{what}: the emulator has no such resource type")
        inputs, common = self._inputs(registration)
        try:
            resource_id, outputs = creator(self._context, registration.name, inputs)
        except ClientError as error:
            details = error.response["Error"]
            cause = f"{error.operation_name}: {details.get('Code')}: {details.get('Message')}"
            raise CreateError(f"{what}: {cause}") from error
        except CreateError as error:
            raise CreateError(f"{what}: {error.reason}") from error
        except Exception as error:
            reason = " ".join(str(error).split())
            raise CreateError(f"{what}: {type(error).__name__}: {reason}") from error
        self._check_honoured(registration, inputs)
        self._keep(registration, resource_id, common | outputs)
        return Created(id=resource_id, outputs=common | outputs)

    def _inputs(self, registration: Registration) -> tuple[Inputs, dict[str, Any]]:
        """The inputs with the provider's defaults in them, and the outputs that all types share."""
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

    def _check_honoured(self, registration: Registration, inputs: Inputs) -> None:
        """Every input is used and kept, or declared as not emulated."""
        in_vain = {re.sub(r"\[\d+\]", "[]", path): path for path in (*inputs.unused(), *inputs.dropped)}
        declared = {path for path in in_vain if (registration.type, path) in NOT_EMULATED}
        self.not_emulated.update((registration.type, path) for path in declared)
        if undeclared := [in_vain[path] for path in in_vain if path not in declared]:
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
