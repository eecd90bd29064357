"""Permissions of operations that deploy infrastructure: EC2, API Gateway, scaling, budgets, keys, roles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from emulator.authorization.needs import (
    Need,
    NeedsOf,
    from_table,
    pass_role,
    request_tags,
    service_linked_role,
)
from emulator.authorization.operations import CalledOperation
from emulator.authorization.resources import Place
from emulator.authorization.s3_needs import key_arn

# API Gateway developer guide, "Configure logging for HTTP APIs": permissions to turn on access logs.
LOG_DELIVERY = (
    *("CreateLogDelivery", "PutResourcePolicy", "UpdateLogDelivery", "DeleteLogDelivery"),
    *("DescribeResourcePolicies", "GetLogDelivery", "ListLogDeliveries", "DescribeLogGroups"),
)
# Application Auto Scaling user guide, "Permissions validation for API calls on target resources".
ALARM_ACTIONS = ("PutMetricAlarm", "DescribeAlarms", "DeleteAlarms")
ENDPOINT_ACTIONS = ("DescribeEndpoint", "UpdateEndpointWeightsAndCapacities")
# Route 53 has one endpoint for all regions (IAM user guide, aws:RequestedRegion).
GLOBAL_REGION = {"aws:RequestedRegion": "us-east-1"}


def _arn(place: Place, service: str, resource: str) -> str:
    return f"arn:{place.partition}:{service}:{place.region}:{place.account_id}:{resource}"


# -- API Gateway ------------------------------------------------------------------------------------------
def gateway(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """API Gateway: the action is the HTTP method, the resource is the path without the API's version.

    Service authorization reference, "Actions, resources, and condition keys for Amazon API Gateway Management
    V2". Tags of a new resource are authorised as those of an existing one.
    """
    head = f"arn:{place.partition}:apigateway:{place.region}::"
    path = operation.path.removeprefix("/v2")
    tags = request_tags(operation)
    yield Need(f"apigateway:{operation.method}", head + path, tags)
    if tags and not path.startswith("/tags/"):
        yield Need("apigateway:POST", f"{head}/tags/*", tags)
    if operation.name == "CreateApi":
        yield from service_linked_role(place, "ops.apigateway.amazonaws.com", "AWSServiceRoleForAPIGateway")
    if operation.parameters.get("AccessLogSettings"):
        yield from (Need(f"logs:{action}") for action in LOG_DELIVERY)


# -- Budgets ----------------------------------------------------------------------------------------------
def budget(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """Budgets: notifications and subscribers are authorised as parts of their budget.

    AWS Cost Management user guide, "Identity-based policies for Budgets": ViewBudget and ModifyBudget.
    """
    if operation.name.endswith("Resource"):
        yield from from_table(operation, place)
        return
    parameters = operation.parameters
    name = parameters.get("BudgetName") or parameters.get("Budget", {}).get("BudgetName", "*")
    arn = f"arn:{place.partition}:budgets::{place.account_id}:budget/{name}"
    yield Need("budgets:ViewBudget" if operation.name.startswith("Describe") else "budgets:ModifyBudget", arn)
    if tags := parameters.get("ResourceTags"):
        keys = {f"aws:RequestTag/{tag['Key']}": str(tag["Value"]) for tag in tags}
        yield Need("budgets:TagResource", arn, keys)


# -- Application Auto Scaling -----------------------------------------------------------------------------
def scale(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """Operations on scalable targets: the caller's permissions for endpoint and alarms are validated, too."""
    yield from from_table(operation, place)
    target = str(operation.parameters.get("ResourceId", ""))
    if operation.name == "RegisterScalableTarget":
        service = "sagemaker.application-autoscaling.amazonaws.com"
        name = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
        yield from service_linked_role(place, service, name)
    endpoint = _arn(place, "sagemaker", "/".join(target.split("/")[:2]))
    yield from (Need(f"sagemaker:{action}", endpoint) for action in ENDPOINT_ACTIONS)
    alarm = _arn(place, "cloudwatch", f"alarm:TargetTracking-{target}-*")
    yield from (Need(f"cloudwatch:{action}", alarm) for action in ALARM_ACTIONS)


# -- EC2 --------------------------------------------------------------------------------------------------
def network(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """EC2: actions have the operation's name; tags of new resources are CreateTags on them."""
    tags = _specified_tags(operation)
    yield from from_table(operation, place, context=tags)
    for kind in {spec.get("ResourceType") for spec in _tag_specifications(operation)}:
        yield Need(
            "ec2:CreateTags", _arn(place, "ec2", f"{kind}/*"), {**tags, "ec2:CreateAction": operation.name}
        )


def tag_network(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """CreateTags, DeleteTags: on the resources by their ids, whose kind is not part of the request."""
    for resource in operation.parameters.get("Resources", []):
        yield Need(f"ec2:{operation.name}", _arn(place, "ec2", f"*/{resource}"), request_tags(operation))


def create_endpoint(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """CreateVpcEndpoint: reads what it is connected to; private names are in a hosted zone of Route 53."""
    yield from network(operation, place)
    yield from (Need(f"ec2:Describe{kind}") for kind in ("Vpcs", "Subnets", "SecurityGroups"))
    if operation.parameters.get("PrivateDnsEnabled"):
        zone = f"arn:{place.partition}:route53:::hostedzone/*"
        yield Need("route53:AssociateVPCWithHostedZone", zone, GLOBAL_REGION)


def create_flow_logs(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """CreateFlowLogs: by a log delivery, or by a role (VPC user guide, "Flow logs")."""
    yield from network(operation, place)
    if role := operation.parameters.get("DeliverLogsPermissionArn"):
        yield pass_role(str(role), "vpc-flow-logs.amazonaws.com", place)
    else:
        yield from (Need(f"logs:{action}") for action in ("CreateLogDelivery", "DeleteLogDelivery"))


def _tag_specifications(operation: CalledOperation) -> list[Mapping[str, Any]]:
    return list(operation.parameters.get("TagSpecifications") or [])


def _specified_tags(operation: CalledOperation) -> dict[str, str]:
    return {
        f"aws:RequestTag/{tag['Key']}": str(tag.get("Value", ""))
        for spec in _tag_specifications(operation)
        for tag in spec.get("Tags", [])
    }


# -- KMS --------------------------------------------------------------------------------------------------
def create_key(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """CreateKey: by identity policies, since there is no key policy yet (KMS API reference, CreateKey)."""
    tags: dict[str, str] = {
        f"aws:RequestTag/{tag['TagKey']}": str(tag["TagValue"])
        for tag in operation.parameters.get("Tags", [])
    }
    yield Need("kms:CreateKey", "*", tags)
    if tags:
        yield Need("kms:TagResource", _arn(place, "kms", "key/*"), tags)


def use_key(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """Operations on a key, which a request can name by an alias."""
    parameters = dict(operation.parameters)
    if key := parameters.get("KeyId"):
        parameters["KeyId"] = key_arn(place, str(key))
    yield from from_table(replace(operation, parameters=parameters), place)


def change_alias(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """CreateAlias, UpdateAlias, DeleteAlias: on the alias and on its key (KMS developer guide, "Aliases")."""
    alias = str(operation.parameters.get("AliasName", ""))
    action = f"kms:{operation.name}"
    yield Need(action, _arn(place, "kms", alias))
    yield Need(action, key_arn(place, str(operation.parameters.get("TargetKeyId") or alias)))


# -- roles that are passed --------------------------------------------------------------------------------
def fill_profile(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """AddRoleToInstanceProfile: passes the role to EC2."""
    yield from from_table(operation, place)
    yield pass_role(str(operation.parameters.get("RoleName", "")), "ec2.amazonaws.com", place)


def put_targets(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """PutTargets: passes the targets' roles to EventBridge."""
    yield from from_table(operation, place)
    for role in {target.get("RoleArn") for target in operation.parameters.get("Targets", [])} - {None}:
        yield pass_role(str(role), "events.amazonaws.com", place)


def create_function(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """CreateFunction: passes the function's role, and reads its layers."""
    yield from from_table(operation, place)
    yield pass_role(str(operation.parameters.get("Role", "")), "lambda.amazonaws.com", place)
    yield from (Need("lambda:GetLayerVersion", str(arn)) for arn in operation.parameters.get("Layers") or [])


SCALED = ("DeleteScalingPolicy", "DeregisterScalableTarget", "PutScalingPolicy", "RegisterScalableTarget")
ALIASES = ("CreateAlias", "DeleteAlias", "UpdateAlias")
WHOLE_SERVICES: Mapping[str, NeedsOf] = {
    "apigateway": gateway,
    "budgets": budget,
    "ec2": network,
    "kms": use_key,
}
INFRASTRUCTURE_NEEDS: Mapping[str, Mapping[str, NeedsOf]] = {
    "application-autoscaling": dict.fromkeys(SCALED, scale),
    "ec2": {
        **dict.fromkeys(("CreateTags", "DeleteTags"), tag_network),
        "CreateFlowLogs": create_flow_logs,
        "CreateVpcEndpoint": create_endpoint,
    },
    "events": {"PutTargets": put_targets},
    "iam": {"AddRoleToInstanceProfile": fill_profile},
    "kms": {"CreateKey": create_key, **dict.fromkeys(ALIASES, change_alias)},
    "lambda": {"CreateFunction": create_function},
}
