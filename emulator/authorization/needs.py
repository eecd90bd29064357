"""Permissions that the caller of an API operation needs: IAM actions on resources, with condition keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emulator import moto_state
from emulator.authorization import resources
from emulator.authorization.conditions import Context
from emulator.authorization.operations import CalledOperation
from emulator.authorization.resources import Place
from emulator.wire import ServiceError

PASSING = "iam:PassRole"
CREATE_SERVICE_LINKED_ROLE = "iam:CreateServiceLinkedRole"
ROLE_PARAMETERS = ("RoleArn", "RoleARN", "ExecutionRoleArn", "serviceRole")


@dataclass(frozen=True)
class Need:
    """One action on one resource.

    Attributes:
        action: ``s3:GetObject``.
        resource: ARN, or ``*``.
        context: condition keys of the action, without those of the caller.
    """

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)


NeedsOf = Callable[[CalledOperation, Place], Iterator[Need]]
"""Permissions of an operation that the table of actions does not describe well enough."""


def from_table(
    operation: CalledOperation, place: Place, *, action: str = "", context: Context | None = None
) -> Iterator[Need]:
    """Needs of an operation by the service authorization reference: its action, tags and passed roles.

    Args:
        action: name of the IAM action, if it is not the operation's.
        context: condition keys in addition to those of the request's tags.

    Raises:
        ServiceError: NotImplemented, there is no such action.
    """
    prefix, name = operation.prefix, action or operation.name
    if resources.resource_types(prefix, name) is None:
        message = f"the emulator cannot authorise {prefix}:{name}: no IAM action of that name is known"
        raise ServiceError("NotImplemented", message, 501)
    keys = {**request_tags(operation), **(context or {})}
    arns = resources.resource_arns(prefix, name, operation.parameters, place)
    for arn in arns:
        yield Need(f"{prefix}:{name}", arn, keys)
    # SageMaker authorises the tags of a new resource as AddTags on it.
    if prefix == "sagemaker" and name.startswith("Create") and operation.parameters.get("Tags"):
        for arn in arns:
            yield Need("sagemaker:AddTags", arn, keys)
    if resources.depends_on(prefix, name, PASSING):
        for parameter in ROLE_PARAMETERS:
            if role := operation.parameters.get(parameter):
                yield pass_role(str(role), f"{prefix}.amazonaws.com", place)


def pass_role(role: str, service: str, place: Place) -> Need:
    """Permission to pass a role (name or ARN) to a service."""
    prefix = f"arn:{place.partition}:iam::{place.account_id}:role/"
    arn = role if role.startswith("arn:") else prefix + role
    return Need(PASSING, arn, {"iam:PassedToService": service})


def service_linked_role(place: Place, service: str, name: str) -> Iterator[Need]:
    """Permission to create a service-linked role, unless the account has it."""
    roles = moto_state.backend("iam", place.region).roles.values()
    if name not in {role.name for role in roles}:
        arn = f"arn:{place.partition}:iam::{place.account_id}:role/aws-service-role/{service}/{name}"
        yield Need(CREATE_SERVICE_LINKED_ROLE, arn, {"iam:AWSServiceName": service})


def request_tags(operation: CalledOperation) -> dict[str, str | Sequence[str]]:
    """Condition keys of the tags of a request."""
    tags: Any = operation.parameters.get("Tags") or operation.parameters.get("tags") or []
    if isinstance(tags, Mapping):
        pairs = {str(key): str(value) for key, value in tags.items()}
    else:
        pairs = {
            str(tag.get("Key") or tag.get("key")): str(tag.get("Value", tag.get("value", ""))) for tag in tags
        }
    context: dict[str, str | Sequence[str]] = {}
    for key, value in pairs.items():
        context[f"aws:RequestTag/{key}"] = context[f"{operation.prefix}:RequestTag/{key}"] = value
    if pairs:
        context["aws:TagKeys"] = list(pairs)
    return context
