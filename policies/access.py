"""Rules on public access and least privilege."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from policies.model import Broken, Resource, Rule, Stage, of, role_statements, statements, values, without

PUBLIC_CIDRS = {"0.0.0.0/0", "::/0"}
BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
# Condition keys that restrict a principal to the account or to a role (IAM user guide).
RESTRICTING = {
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:SourceAccount",
    "aws:SourceArn",
    "kms:CallerAccount",
}
# Services that do not send aws:SourceAccount when they assume a role (their user guides).
SENDS_NO_ACCOUNT = {"ec2.amazonaws.com", "lambda.amazonaws.com"}
# Actions without resource-level permissions, or on resources that do not exist yet (service authorization
# reference).
ANY_RESOURCE = {
    "cloudwatch:PutMetricData",
    "ecr:GetAuthorizationToken",
    "elasticmapreduce:ListClusters",
    "elasticmapreduce:RunJobFlow",
    "sagemaker:ListEndpointConfigs",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}


def _bucket(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for bucket in without(resources, "Bucket", "BucketPublicAccessBlock", "bucket", _blocks_all):
        yield bucket, f"add a BucketPublicAccessBlock with {', '.join(BLOCKS)}"


def _blocks_all(block: Resource) -> bool:
    return all(block.inputs.get(name) for name in BLOCKS)


def _policy(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for resource in of(resources, "BucketPolicy", "QueuePolicy", "TopicPolicy", "KeyPolicy", "VpcEndpoint"):
        for statement in statements(resource.inputs.get("policy")):
            if statement["Effect"] == "Allow" and _is_public(statement):
                yield resource, f"everybody may {', '.join(values(statement['Action']))}: name a principal"


def _is_public(statement: dict[str, Any]) -> bool:
    principal = statement.get("Principal")
    names = principal.values() if isinstance(principal, dict) else [principal]
    everybody = any("*" in values(name) for name in names)
    conditions = {key for operator in statement.get("Condition", {}).values() for key in operator}
    return everybody and not conditions & RESTRICTING


def _network(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for resource in of(resources, "InternetGateway", "NatGateway", "Eip"):
        yield resource, "the network has no way to the internet: use VPC endpoints"
    for subnet in of(resources, "Subnet"):
        if subnet.inputs.get("mapPublicIpOnLaunch"):
            yield subnet, "set mapPublicIpOnLaunch to false"
    for rule in of(resources, "SecurityGroupIngressRule"):
        if PUBLIC_CIDRS & {rule.inputs.get("cidrIpv4"), rule.inputs.get("cidrIpv6")}:
            yield rule, "name a network or a security group instead of every address"


def _api(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for route in of(resources, "Route"):
        if route.inputs.get("authorizationType", "NONE") == "NONE":
            yield route, "set authorizationType"
    for permission in of(resources, "Permission"):
        if permission.inputs.get("principal") == "*":
            yield permission, "name the service that may invoke the function"
    for url in of(resources, "FunctionUrl"):
        if url.inputs.get("authorizationType") == "NONE":
            yield url, "set authorizationType to AWS_IAM"


def _invocation(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for permission in of(resources, "Permission"):
        named = {"sourceArn", "sourceAccount"} & {*permission.inputs, *permission.depends_on}
        if not named:
            yield permission, "set sourceArn: any account could invoke the function through the service"


def _actions(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for policy, statement in role_statements(resources):
        starred = [action for action in values(statement.get("Action", "*")) if "*" in action]
        if statement["Effect"] == "Allow" and starred:
            yield policy, f"{', '.join(starred)}: name each action"


def _any_resource(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for policy, statement in role_statements(resources):
        actions = set(values(statement.get("Action", "*"))) - ANY_RESOURCE
        if statement["Effect"] == "Allow" and "*" in values(statement.get("Resource", "*")) and actions:
            yield policy, f"{', '.join(sorted(actions))} on any resource: name the resources"


def _pass_role(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for policy, statement in role_statements(resources):
        condition = statement.get("Condition", {}).get("StringEquals", {})
        if "iam:PassRole" in values(statement.get("Action", [])) and "iam:PassedToService" not in condition:
            yield policy, "iam:PassRole without iam:PassedToService: name the service"


def _trust(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for role in of(resources, "Role"):
        for statement in statements(role.inputs.get("assumeRolePolicy")):
            principal = statement.get("Principal", "*")
            if principal == "*" or "*" in values(principal.get("AWS", [])):
                yield role, "everybody may assume the role: name a principal"
                continue
            services = set(values(principal.get("Service", []))) - SENDS_NO_ACCOUNT
            keys = {key for operator in statement.get("Condition", {}).values() for key in operator}
            if services and not keys & {"aws:SourceAccount", "aws:SourceArn"}:
                yield role, f"{', '.join(sorted(services))} may act for any account: add aws:SourceAccount"


RULES = (
    Rule(name="bucket-not-public", description="Every bucket blocks all public access.", check=_bucket),
    Rule(
        name="policy-not-public",
        description="No resource policy allows everybody without a condition on the account or role.",
        check=_policy,
    ),
    Rule(
        name="network-not-public",
        description="No internet gateway, public address or open security group.",
        check=_network,
    ),
    Rule(name="api-authorized", description="Routes and functions authorize their callers.", check=_api),
    Rule(
        name="invocation-from-one-source",
        description="A service may invoke a function only from a named source.",
        check=_invocation,
    ),
    Rule(name="no-starred-actions", description="Roles are granted named actions.", check=_actions),
    Rule(
        name="no-any-resource",
        description="Roles are granted actions on named resources, where the service has these.",
        check=_any_resource,
    ),
    Rule(
        name="pass-role-to-one-service", description="Roles are passed to a named service.", check=_pass_role
    ),
    Rule(
        name="trust-names-account", description="Services assume a role only for this account.", check=_trust
    ),
)
