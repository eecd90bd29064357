"""Names of pulumi-aws in Terraform: pulumi-aws is a bridge of terraform-provider-aws, in another spelling."""

from __future__ import annotations

import re
from collections.abc import Container

# Resource types whose name is not aws_<module>_<class>.
TYPES = {
    "cloudwatch/eventRule:EventRule": "aws_cloudwatch_event_rule",
    "cloudwatch/eventTarget:EventTarget": "aws_cloudwatch_event_target",
    "ec2/defaultSecurityGroup:DefaultSecurityGroup": "aws_default_security_group",
    "ec2/flowLog:FlowLog": "aws_flow_log",
    "ec2/networkAcl:NetworkAcl": "aws_network_acl",
    "ec2/routeTable:RouteTable": "aws_route_table",
    "ec2/routeTableAssociation:RouteTableAssociation": "aws_route_table_association",
    "ec2/securityGroup:SecurityGroup": "aws_security_group",
    "ec2/subnet:Subnet": "aws_subnet",
    "ec2/vpc:Vpc": "aws_vpc",
    "ec2/vpcEndpoint:VpcEndpoint": "aws_vpc_endpoint",
    "s3/bucketObjectv2:BucketObjectv2": "aws_s3_object",
    "sagemaker/endpointConfiguration:EndpointConfiguration": "aws_sagemaker_endpoint_configuration",
}
# Arguments that pulumi-aws renames.
ARGUMENTS = {
    ("aws_lambda_function", "name"): "function_name",
    ("aws_lambda_function", "code"): "filename",
    ("aws_lambda_permission", "function"): "function_name",
    ("aws_sns_topic_subscription", "topic"): "topic_arn",
    ("aws_cloudwatch_metric_alarm", "name"): "alarm_name",
}


def terraform_type(token: str) -> str:
    """Terraform's name of a resource type: `aws_s3_bucket` of `aws:s3/bucket:Bucket`."""
    short = token.removeprefix("aws:")
    if short in TYPES:
        return TYPES[short]
    module, _, class_name = short.partition("/")
    return f"aws_{module}_{snake_case(class_name.split(':')[1])}"


def argument_name(key: str, known: Container[str], kind: str) -> str:
    """Terraform's name of a Pulumi input: renamed, snake case, or the singular of a list.

    Raises:
        LookupError: none of these is in `known`.
    """
    name = ARGUMENTS.get((kind, key)) or snake_case(key)
    singular = [name.removesuffix("s"), re.sub("ies$", "y", name), re.sub("es$", "", name)]
    for candidate in (name, *singular):
        if candidate in known:
            return candidate
    raise LookupError(f"{kind}: no argument for the input {key}")


def snake_case(name: str) -> str:
    """Terraform's spelling of a Pulumi name."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
