"""IAM roles in moto: trust policies and permissions."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from moto.iam.exceptions import NotFoundException

from emulator.policies import Call, Decision, Document, allows, decide, parse
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


def trusts(iam: Any, arn: str, service: str, source_arn: str) -> bool:
    """Whether ``service`` (``codebuild.amazonaws.com``) may assume the role for a resource."""
    document = unquote(find_role(iam, arn).assume_role_policy_document)
    context = {"aws:SourceArn": source_arn, "aws:SourceAccount": source_arn.split(":")[4]}
    return allows([document], Call("sts:AssumeRole", service=service, context=context))


def identity_documents(iam: Any, arn: str) -> list[Document]:
    """The role's inline policies and the default versions of its managed policies."""
    role = find_role(iam, arn)
    inline = [unquote(document) for document in role.policies.values()]
    attached = [
        version.document
        for policy in role.managed_policies.values()
        for version in policy.versions
        if version.is_default
    ]
    return [parse(document) for document in [*inline, *attached]]


def decide_for_role(iam: Any, arn: str, action: str, resource: str = "*") -> Decision:
    """Decision of the role's identity-based policies about an action."""
    return decide(identity_documents(iam, arn), Call(action, resource))
