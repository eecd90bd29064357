"""ARNs of the resources of an operation, from the formats of the service authorization reference."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("actions.json")
REQUIRED = "*"  # suffix of required resource types in the table
_VARIABLE = re.compile(r"\$\{(\w+)\}")
# Parameters that hold a variable of an ARN format under another name.
PARAMETERS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("ec2", "RouteTableId"): ("RouteTableId", "RouteTableIds"),
    ("ec2", "SecurityGroupId"): ("GroupId", "SecurityGroupIds"),
    ("ec2", "SubnetId"): ("SubnetId", "SubnetIds"),
    ("ec2", "VpcEndpointId"): ("VpcEndpointId", "VpcEndpointIds"),
    ("ec2", "VpcFlowLogId"): ("FlowLogIds",),
    ("codebuild", "ProjectName"): ("projectName", "name", "names", "id", "ids"),
    ("codebuild", "BuildId"): ("id", "ids"),
    ("elasticmapreduce", "ClusterId"): ("ClusterId", "JobFlowId", "JobFlowIds", "ResourceId"),
    ("events", "EventBusName"): ("EventBusName", "Name"),
    ("events", "RuleName"): ("Name", "Rule"),
    ("iam", "InstanceProfileNameWithPath"): ("InstanceProfileName",),
    ("iam", "RoleNameWithPath"): ("RoleName",),
    ("kms", "KeyId"): ("KeyId",),
    ("s3", "BucketName"): ("Bucket",),
    ("s3", "ObjectName"): ("Key",),
    ("scheduler", "ScheduleName"): ("Name",),
    ("sns", "TopicName"): ("Name",),
    ("sqs", "QueueName"): ("QueueName", "QueueUrl"),
}


@dataclass(frozen=True)
class Place:
    """Partition, region and account of a request."""

    region: str
    account_id: str
    partition: str = "aws"

    def variables(self) -> dict[str, str]:
        """Variables of ARN formats."""
        return {"Partition": self.partition, "Region": self.region, "Account": self.account_id}


@functools.cache
def services() -> dict[str, Any]:
    """The table by prefix of the actions."""
    return dict(json.loads(TABLE.read_text(encoding="utf-8"))["services"])


def resource_types(prefix: str, action: str) -> list[str] | None:
    """Resource types of an action, required ones first and with an asterisk; None for an unknown action."""
    actions = services().get(prefix, {}).get("actions", {})
    if action not in actions:
        return None
    kinds = [kind for kind in actions[action] if ":" not in kind]
    return sorted(kinds, key=lambda kind: not kind.endswith(REQUIRED))


def depends_on(prefix: str, action: str, other: str) -> bool:
    """Whether callers of an action also need another one (``iam:PassRole``)."""
    return other in services()[prefix]["actions"].get(action, [])


def resource_arns(prefix: str, action: str, parameters: Mapping[str, Any], place: Place) -> list[str]:
    """ARNs of the resources of an action; ``*`` for an action without resource-level permissions.

    Variables of required resource types that no parameter holds become ``*``.
    """
    found: list[str] = []
    kinds = resource_types(prefix, action) or []
    for kind in kinds:
        form = services()[prefix]["resources"][kind.removesuffix(REQUIRED)]
        arns = list(_arns(prefix, form, parameters, place, required=kind.endswith(REQUIRED)))
        found += [arn for arn in arns if arn not in found]
    return found or ["*"]


def _arns(
    prefix: str, form: str, parameters: Mapping[str, Any], place: Place, *, required: bool
) -> Iterator[str]:
    given = [text for value in parameters.values() for text in _texts(value) if text.startswith("arn:")]
    if named := [arn for arn in given if _pattern(form).fullmatch(arn)]:
        yield from named
        return
    variables = {name: [value] for name, value in place.variables().items()}
    for name in _VARIABLE.findall(form):
        if name not in variables:
            variables[name] = _values(prefix, name, parameters) or (["*"] if required else [])
    for values in itertools.product(*variables.values()):
        filled = dict(zip(variables, values, strict=True))
        yield _fill(form, filled)


def _fill(form: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: values[match[1]], form)


def _values(prefix: str, variable: str, parameters: Mapping[str, Any]) -> list[str]:
    by_name = {name.lower(): value for name, value in parameters.items()}
    for name in PARAMETERS.get((prefix, variable), (variable,)):
        if texts := _texts(by_name.get(name.lower())):
            return [_short(prefix, variable, text) for text in texts]
    return []


def _short(prefix: str, variable: str, text: str) -> str:
    """A name from a URL, an ARN of another kind, or the id of a build (``project:uuid``)."""
    if prefix == "sqs":
        return text.rsplit("/", 1)[-1]
    if (prefix, variable) == ("codebuild", "ProjectName") and not text.startswith("arn:"):
        return text.split(":", maxsplit=1)[0]
    return text.rsplit("/", 1)[-1] if text.startswith("arn:") else text


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


@functools.cache
def _pattern(form: str) -> re.Pattern[str]:
    parts = re.split(r"(\$\{\w+\})", form)
    variables = {"${Partition}": "[^:]+", "${Region}": "[^:]*", "${Account}": "[^:]*"}
    return re.compile(
        "".join(variables.get(part, ".+") if part.startswith("${") else re.escape(part) for part in parts)
    )
