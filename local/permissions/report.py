"""Report of a running stage: what its roles used, which grants nothing needed, what was refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import requests

from emulator.app import PERMISSIONS_PATH
from emulator.authorization.ledger import Use
from local.aws import DeployedStage
from local.permissions.documented import EXPECTED_REFUSALS, documented_uses
from local.permissions.grants import Grant, grants_of, permits, unneeded
from local.permissions.names import Names

TIMEOUT_S = 30
FOLDER_DEPTH = 2  # grants name folders of two levels at most, for example prepared/run=<run>
ENCRYPTION_CONTEXT = "kms:EncryptionContext"


@dataclass(frozen=True)
class Report:
    """Permissions of a stage since the start of the emulator, with logical names.

    Attributes:
        uses: see `distinct`.
        grants: grants of all roles.
        unused: grants that neither a use nor a documented one needs.
        refusals: AccessDenied messages, without the expected ones.
    """

    stage: str
    uses: list[Use]
    grants: list[Grant] = field(default_factory=list)
    unused: list[Grant] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write the report as JSON, one use per line."""
        path.parent.mkdir(parents=True, exist_ok=True)
        body = {"unused": [str(grant) for grant in self.unused], "refusals": self.refusals}
        head = f'{{\n"stage": {json.dumps(self.stage)},\n"uses": [\n'
        uses = ",\n".join(json.dumps(use.as_json()) for use in self.uses)
        tail = json.dumps(body, indent=1).removeprefix("{")
        path.write_text(f"{head}{uses}\n],{tail}\n", encoding="utf-8")


def report(stage: DeployedStage) -> Report:
    """Permissions of a stage that runs in an emulator."""
    recorded = requests.get(stage.url + PERMISSIONS_PATH, timeout=TIMEOUT_S).json()
    names = names_of(stage)
    grants = deployed_grants(stage.client("iam"), names)
    uses = distinct(names.use(Use.from_json(use)) for use in recorded["uses"])
    needed = [*uses, *documented_uses(stage.stage)]
    refusals = [
        refusal["message"]
        for refusal in recorded["refusals"]
        if refusal["use"]["action"] not in EXPECTED_REFUSALS
    ]
    return Report(stage.stage, uses, grants, unneeded(grants, needed), refusals)


def read_uses(path: Path) -> list[Use]:
    """Uses of a written report."""
    return [Use.from_json(use) for use in json.loads(path.read_text(encoding="utf-8"))["uses"]]


def names_of(stage: DeployedStage) -> Names:
    """Physical names of a stage's resources."""
    key_arn = str(stage.outputs["kms_key_arn"])
    key_id = key_arn.rpartition("/")[2]
    return Names(f"ncf-{stage.stage}-", key_arn.split(":")[4], {key_id: "key"})


def deployed_grants(iam: Any, names: Names) -> list[Grant]:
    """Grants of the inline policies of all roles of the stage."""
    found: list[Grant] = []
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            if not role["RoleName"].startswith(names.prefix):
                continue
            logical = names.role(role["Arn"])
            for policy in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
                document = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=policy)["PolicyDocument"]
                text = document if isinstance(document, str) else json.dumps(document)
                found += grants_of(logical, names.logical(unquote(text)))
    return found


def distinct(uses: Iterable[Use]) -> list[Use]:
    """Uses in order, one for the objects of a folder (`FOLDER_DEPTH`)."""
    kept: dict[Any, Use] = {}
    for use in sorted(uses, key=_order):
        folder = use.resource.split("/")[: FOLDER_DEPTH + 1] if ":s3:::" in use.resource else use.resource
        context = tuple(item for item in use.context if not item[0].startswith(ENCRYPTION_CONTEXT))
        kept.setdefault((use.role_arn, use.action, str(folder), context), use)
    return list(kept.values())


def without_equivalent(grants: Sequence[Grant], uses: Iterable[Use], others: Sequence[Use]) -> list[Use]:
    """Uses that none of the others is equivalent to: the same action of the same role by the same grants."""
    known = {_decision(grants, use) for use in others}
    return [use for use in uses if _decision(grants, use) not in known]


def _decision(grants: Sequence[Grant], use: Use) -> tuple[str, str, frozenset[Grant]]:
    allowing = frozenset(
        grant for grant in set(grants) if grant.role == use.role_arn and permits([grant], use)
    )
    return use.role_arn, use.action, allowing


def _order(use: Use) -> tuple[str, str, str, str]:
    return use.role_arn, use.action, use.resource, str(use.context)
