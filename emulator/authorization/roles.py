"""IAM roles in moto: trust policies and permissions."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from moto.iam.exceptions import NotFoundException

from emulator.authorization.policies import Call, Document, allows, parse
from emulator.wire import ServiceError


def find_role(iam: Any, arn: str) -> Any:
    """moto's role with an ARN.

    Raises:
        ServiceError: NoSuchEntity, the role does not exist.
    """
    try:
        return iam.get_role_by_arn(arn)
    except NotFoundException as error:
        raise ServiceError("NoSuchEntity", f"The role {arn} cannot be found.", 404) from error


def trust_policy(iam: Any, arn: str) -> str:
    """Trust policy of a role.

    Raises:
        ServiceError: NoSuchEntity, the role does not exist.
    """
    return unquote(find_role(iam, arn).assume_role_policy_document)


def trusts(iam: Any, arn: str, service: str, source_arn: str) -> bool:
    """Whether ``service`` (``codebuild.amazonaws.com``) may assume the role for a resource."""
    context = {"aws:SourceArn": source_arn, "aws:SourceAccount": source_arn.split(":")[4]}
    call = Call("sts:AssumeRole", service=service, context=context)
    return allows([trust_policy(iam, arn)], call)


def identity_documents(iam: Any, arn: str) -> list[Document]:
    """The role's inline policies and the default versions of its managed policies."""
    role = find_role(iam, arn)
    inline = [unquote(document) for document in list(role.policies.values())]
    attached = [
        version.document
        for policy in list(role.managed_policies.values())
        for version in policy.versions
        if version.is_default
    ]
    return [parse(document) for document in [*inline, *attached]]


def boundary_documents(iam: Any, arn: str) -> list[Document] | None:
    """The role's permissions boundary; None without one."""
    boundary = find_role(iam, arn).permissions_boundary
    if not boundary:
        return None
    policy = iam.get_policy(boundary)
    return [parse(version.document) for version in policy.versions if version.is_default]
