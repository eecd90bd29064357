"""IAM permissions as typed values (`Allow`), policy documents built from them, and roles.

`Allow` rejects wildcard actions, and `*` as resource without a reason. Documents are built from these values
instead of JSON texts or provider look-ups.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

POLICY_VERSION = "2012-10-17"  # IAM user guide: the current version of the policy language
ANY_RESOURCE = "*"
CONTAINER_METRICS = "/aws/sagemaker/*"  # namespaces of the metrics of SageMaker containers

Conditions = Mapping[str, Mapping[str, pulumi.Input[Any]]]


@dataclass(frozen=True, kw_only=True)
class Allow:
    """One Allow statement: exact actions on named resources.

    Attributes:
        actions: ``service:Action`` names without wildcards.
        resources: ARNs; ``*`` only for actions without resource-level permissions, with a reason.
        conditions: IAM condition block: operator to key to value.
        reason: why ``*`` is the only resource that the service accepts.

    Raises:
        ValueError: no action, no resource, a wildcard in an action, or ``*`` as resource without a reason.
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
                raise ValueError(
                    f"Allow: action {action!r}: name each action in full, such as 's3:GetObject'"
                )
        if any(isinstance(arn, str) and arn == ANY_RESOURCE for arn in self.resources) and not self.reason:
            raise ValueError(
                f"Allow: {', '.join(self.actions)} on '*': name the resources, or state why none can be"
            )

    def statement(self) -> dict[str, Any]:
        """Policy statement; its values may be outputs."""
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Action": sorted(self.actions),
            "Resource": list(self.resources),
        }
        if self.conditions:
            statement["Condition"] = {op: dict(keys) for op, keys in self.conditions.items()}
        return statement


def document(statements: Sequence[Mapping[str, Any]]) -> pulumi.Output[str]:
    """Policy document as JSON."""
    return pulumi.Output.json_dumps({"Version": POLICY_VERSION, "Statement": list(statements)})


def policy(allows: Sequence[Allow]) -> pulumi.Output[str]:
    """Policy document that grants each action on a resource once.

    Permissions on one resource overlap (`Key.grant_encrypt`, `Key.grant_decrypt`). A grant that is repeated
    would stay when one of its statements is removed.
    """
    statements = pulumi.Output.all(*(allow.statement() for allow in allows)).apply(_merged)
    return pulumi.Output.json_dumps({"Version": POLICY_VERSION, "Statement": statements})


def _merged(statements: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Statements with the same resources and conditions become one, in the place of the first."""
    found: dict[str, dict[str, Any]] = {}
    for statement in statements:
        key = json.dumps([statement["Resource"], statement.get("Condition")], sort_keys=True)
        same = found.setdefault(key, {**statement, "Action": []})
        same["Action"] = sorted({*same["Action"], *statement["Action"]})
    return list(found.values())


def service_trust(service: str, source_account: pulumi.Input[str] | None = None) -> pulumi.Output[str]:
    """Trust policy for an AWS service.

    `source_account` prevents the confused deputy problem (IAM user guide); omit it only for services that
    do not send ``aws:SourceAccount`` when they assume a role (Lambda, EC2).
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
    """Trust policy for one role or user."""
    statement = {"Effect": "Allow", "Principal": {"AWS": principal_arn}, "Action": "sts:AssumeRole"}
    return document([statement])


def grant_write_log(log_group_arn: pulumi.Input[str]) -> Allow:
    """Permission to write to a log group."""
    return Allow(
        actions=["logs:CreateLogStream", "logs:PutLogEvents"],
        resources=[pulumi.Output.concat(log_group_arn, ":*")],
    )


def grant_container_logs_and_metrics(
    log_group_arns: Sequence[pulumi.Input[str]], *, creates_groups: bool
) -> list[Allow]:
    """Permissions of a SageMaker container to write to its log groups and to publish its metrics.

    `creates_groups`: the groups are created by the first container, not by the program.
    """
    create = ["logs:CreateLogGroup"] if creates_groups else []
    return [
        Allow(
            actions=[*create, "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            resources=[pulumi.Output.concat(arn, ":*") for arn in log_group_arns],
        ),
        Allow(
            actions=["cloudwatch:PutMetricData"],
            resources=[ANY_RESOURCE],
            reason="metrics have no resource-level permissions; the namespace is restricted instead",
            conditions={"StringLike": {"cloudwatch:namespace": CONTAINER_METRICS}},
        ),
    ]


def grant_put_metrics(namespace: str) -> Allow:
    """Permission to publish metrics in one namespace."""
    return Allow(
        actions=["cloudwatch:PutMetricData"],
        resources=[ANY_RESOURCE],
        reason="metrics have no resource-level permissions; the namespace is restricted instead",
        conditions={"StringEquals": {"cloudwatch:namespace": namespace}},
    )


def grant_pass_role(role_arn: pulumi.Input[str], service: str) -> Allow:
    """Permission to pass a role to one service."""
    return Allow(
        actions=["iam:PassRole"],
        resources=[role_arn],
        conditions={"StringEquals": {"iam:PassedToService": service}},
    )


@dataclass(frozen=True, kw_only=True)
class ServiceRoleArgs:
    """Arguments of `ServiceRole`.

    Attributes:
        service: the service principal that assumes the role, such as ``lambda.amazonaws.com``.
        allows: permissions of the role.
        source_account: account on whose behalf the service must act; see `service_trust`.
        managed_policy_arns: AWS managed policies, if the service requires one.
    """

    service: str
    allows: Sequence[Allow]
    source_account: pulumi.Input[str] | None = None
    managed_policy_arns: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.service.endswith(".amazonaws.com"):
            raise ValueError(
                f"service {self.service!r}: write a service principal, such as 'lambda.amazonaws.com'"
            )


class ServiceRole(pulumi.ComponentResource):
    """IAM role that one AWS service assumes, with one inline policy.

    `arn` and `name` resolve after the policies are attached, so that dependent resources are created after
    the role has its permissions.

    Creates: Role, RolePolicy, RolePolicyAttachment (one per managed policy).
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
    """Arguments of `PrincipalRole`.

    Attributes:
        principal_arn: the role or user that may assume the role.
        allows: permissions of the role.
    """

    principal_arn: str
    allows: Sequence[Allow]

    def __post_init__(self) -> None:
        if self.principal_arn.count(":") < 5 or self.principal_arn.endswith(":root"):
            raise ValueError(f"principal_arn {self.principal_arn!r}: write the ARN of one role or user")


class PrincipalRole(pulumi.ComponentResource):
    """IAM role for a program outside of the platform, with one inline policy.

    Creates: Role, RolePolicy.
    """

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
    """Create a role; its ARN and name resolve after all policies are attached."""
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
