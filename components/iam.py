"""IAM as typed values: what is granted is an `Allow`, and a role is the list of what it may do.

Policies are never looked up and never pasted as JSON: a document is built from values that refuse
what a least-privilege review would refuse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

POLICY_VERSION = "2012-10-17"  # IAM user guide: the current version of the policy language
ANY_RESOURCE = "*"
CONTAINER_METRICS = "/aws/sagemaker/*"  # the namespaces in which SageMaker's containers keep metrics

Conditions = Mapping[str, Mapping[str, pulumi.Input[Any]]]


@dataclass(frozen=True, kw_only=True)
class Allow:
    """One thing that a principal may do: exact actions on named resources.

    Args:
        actions: ``service:Action`` names without wildcards.
        resources: ARNs; ``*`` only for actions that have no resource-level permissions, with a reason.
        conditions: IAM condition block, operator to key to value.
        reason: why ``*`` is the only resource that the service accepts.

    Raises:
        ValueError: a wildcard action, or ``*`` as resource without a reason.
    """

    actions: Sequence[str]
    resources: Sequence[pulumi.Input[str]]
    conditions: Conditions = field(default_factory=dict)
    reason: str | None = None

    def __post_init__(self) -> None:
        if not self.actions or not self.resources:
            raise ValueError("Allow: name at least one action and one resource")
        for action in self.actions:
            service, colon, verb = action.partition(":")
            if "*" in action or not (service and colon and verb):
                raise ValueError(f"Allow: action {action!r}: name each action in full, as 's3:GetObject'")
        if any(isinstance(arn, str) and arn == ANY_RESOURCE for arn in self.resources) and not self.reason:
            raise ValueError(
                f"Allow: {', '.join(self.actions)} on '*': name the resources, or state why none can be"
            )

    def statement(self) -> dict[str, Any]:
        """The policy statement; its parts may still be outputs."""
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Action": sorted(self.actions),
            "Resource": list(self.resources),
        }
        if self.conditions:
            statement["Condition"] = {op: dict(keys) for op, keys in self.conditions.items()}
        return statement


def document(statements: Sequence[Mapping[str, Any]]) -> pulumi.Output[str]:
    """A policy document as JSON."""
    return pulumi.Output.json_dumps({"Version": POLICY_VERSION, "Statement": list(statements)})


def policy(allows: Sequence[Allow]) -> pulumi.Output[str]:
    """The policy document that grants `allows` and nothing else."""
    return document([allow.statement() for allow in allows])


def service_trust(service: str, source_account: pulumi.Input[str] | None = None) -> pulumi.Output[str]:
    """Trust in one AWS service, bound to one account where the service says on whose behalf it acts.

    `source_account` closes the confused-deputy door (IAM user guide); leave it out only for services
    that don't send ``aws:SourceAccount`` when they assume a role (Lambda, EC2).
    """
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    if source_account is not None:
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": source_account}}
    return document([statement])


def principal_trust(principal_arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """Trust in one role or user of an account."""
    statement = {"Effect": "Allow", "Principal": {"AWS": principal_arn}, "Action": "sts:AssumeRole"}
    return document([statement])


def write_log(log_group_arn: pulumi.Input[str]) -> Allow:
    """Writing to a log group."""
    return Allow(
        actions=["logs:CreateLogStream", "logs:PutLogEvents"],
        resources=[pulumi.Output.concat(log_group_arn, ":*")],
    )


def write_as_container(log_group_arns: Sequence[pulumi.Input[str]]) -> list[Allow]:
    """What a SageMaker container writes besides its results: to its log groups, and its metrics."""
    return [
        Allow(
            actions=[
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ],
            resources=[pulumi.Output.concat(arn, ":*") for arn in log_group_arns],
        ),
        Allow(
            actions=["cloudwatch:PutMetricData"],
            resources=[ANY_RESOURCE],
            reason="metrics have no resource-level permissions; their namespace is bound instead",
            conditions={"StringLike": {"cloudwatch:namespace": CONTAINER_METRICS}},
        ),
    ]


def pass_role(role_arn: pulumi.Input[str], service: str) -> Allow:
    """Handing a role to a service, and to that service only."""
    return Allow(
        actions=["iam:PassRole"],
        resources=[role_arn],
        conditions={"StringEquals": {"iam:PassedToService": service}},
    )


@dataclass(frozen=True, kw_only=True)
class ServiceRoleArgs:
    """Who may assume a role, and what it may do.

    Args:
        service: the service principal, such as ``lambda.amazonaws.com``.
        allows: everything that the role may do.
        source_account: account id that the service must act for; see `service_trust`.
        managed_policy_arns: policies that AWS keeps, where a service demands one.
    """

    service: str
    allows: Sequence[Allow]
    source_account: pulumi.Input[str] | None = None
    managed_policy_arns: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.service.endswith(".amazonaws.com"):
            raise ValueError(
                f"service {self.service!r}: write a service principal, as 'lambda.amazonaws.com'"
            )


class ServiceRole(pulumi.ComponentResource):
    """A role that one AWS service assumes, with one inline policy.

    `arn` and `name` resolve once the policy is in place, so that whatever uses the role is created after
    the role can do its work.
    """

    arn: pulumi.Output[str]
    name: pulumi.Output[str]

    def __init__(self, name: str, args: ServiceRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:iam:ServiceRole", name, None, opts)
        trust = service_trust(args.service, args.source_account)
        self.arn, self.name = _role(name, trust, args.allows, args.managed_policy_arns, self)
        self.register_outputs({"arn": self.arn, "name": self.name})


@dataclass(frozen=True, kw_only=True)
class PrincipalRoleArgs:
    """Who may assume a role, and what it may do.

    Args:
        principal_arn: the role or user that may assume it.
        allows: everything that the role may do.
    """

    principal_arn: str
    allows: Sequence[Allow]

    def __post_init__(self) -> None:
        if self.principal_arn.count(":") < 5 or self.principal_arn.endswith(":root"):
            raise ValueError(f"principal_arn {self.principal_arn!r}: write the ARN of one role or user")


class PrincipalRole(pulumi.ComponentResource):
    """A role that a program outside of the platform assumes, with one inline policy."""

    arn: pulumi.Output[str]
    name: pulumi.Output[str]

    def __init__(
        self, name: str, args: PrincipalRoleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ncf:iam:PrincipalRole", name, None, opts)
        self.arn, self.name = _role(name, principal_trust(args.principal_arn), args.allows, (), self)
        self.register_outputs({"arn": self.arn, "name": self.name})


def _role(
    name: str,
    trust: pulumi.Output[str],
    allows: Sequence[Allow],
    managed_policy_arns: Sequence[str],
    parent: pulumi.Resource,
) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
    """A role's ARN and name, once all its policies are in place."""
    child = pulumi.ResourceOptions(parent=parent)
    role = aws.iam.Role(name, assume_role_policy=trust, opts=child)
    ready: list[pulumi.Output[str]] = []
    if allows:
        inline = aws.iam.RolePolicy(f"{name}-policy", role=role.name, policy=policy(allows), opts=child)
        ready.append(inline.id)
    for arn in managed_policy_arns:
        attachment = aws.iam.RolePolicyAttachment(
            f"{name}-{arn.rpartition('/')[2]}", role=role.name, policy_arn=arn, opts=child
        )
        ready.append(attachment.id)
    return (
        pulumi.Output.all(role.arn, *ready).apply(lambda values: values[0]),
        pulumi.Output.all(role.name, *ready).apply(lambda values: values[0]),
    )
