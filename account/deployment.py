"""Policy of the role that runs `pulumi up` for one stage.

Names of a stage's resources begin with `<project>-<stage>-`, so that most permissions are: every action of
the service on resources with this prefix. Actions on other resources are listed, each group with its reason.
The role creates roles and passes them to services: it is as powerful as they can be (ADR 17).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.iam import POLICY_VERSION

Statement = dict[str, Any]

# Services that create a service-linked role when a stage first uses them.
SERVICE_LINKED = (
    "apigateway.amazonaws.com",
    "elasticmapreduce.amazonaws.com",
    "ops.apigateway.amazonaws.com",
    "sagemaker.application-autoscaling.amazonaws.com",
    "spot.amazonaws.com",
)
NETWORK_KINDS = ("RouteTable", "SecurityGroup", "Subnet", "Vpc")
NETWORK = (
    *(f"ec2:{verb}{kind}" for kind in NETWORK_KINDS for verb in ("Create", "Delete")),
    "ec2:AssociateRouteTable",
    "ec2:AuthorizeSecurityGroup*",
    "ec2:CreateFlowLogs",
    "ec2:CreateTags",
    "ec2:CreateVpcEndpoint",
    "ec2:DeleteFlowLogs",
    "ec2:DeleteTags",
    "ec2:DeleteVpcEndpoints",
    "ec2:DisassociateRouteTable",
    "ec2:ModifySecurityGroupRules",
    "ec2:ModifySubnetAttribute",
    "ec2:ModifyVpcAttribute",
    "ec2:ModifyVpcEndpoint",
    "ec2:ReplaceRouteTableAssociation",
    "ec2:RevokeSecurityGroup*",
    "ec2:UpdateSecurityGroupRuleDescriptions*",
)
# Read actions, and actions of services that have no resource-level permissions for them.
ANY_RESOURCE = (
    "application-autoscaling:Describe*",
    "application-autoscaling:ListTagsForResource",
    "cloudwatch:DescribeAlarms",
    "ec2:Describe*",
    "elasticmapreduce:CreateSecurityConfiguration",
    "elasticmapreduce:DeleteSecurityConfiguration",
    "elasticmapreduce:DescribeSecurityConfiguration",
    "kms:ListAliases",
    "lambda:GetLayerVersion",
    "lambda:ListEventSourceMappings",
    "logs:CreateLogDelivery",  # access logs of the API, with the next ones
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "sns:GetSubscriptionAttributes",
    "sns:SetSubscriptionAttributes",
    "sns:Unsubscribe",
)


@dataclass(frozen=True)
class Account:
    """AWS account and region of a stage."""

    partition: str
    region: str
    account_id: str

    def arn(self, service: str, resource: str, *, is_global: bool = False) -> str:
        """ARN of a resource; `is_global` for services whose ARNs have no region."""
        region = "" if is_global else self.region
        return f"arn:{self.partition}:{service}:{region}:{self.account_id}:{resource}"


def deployment_policy(account: Account, project: str, stage: str) -> str:
    """Policy document as JSON."""
    statements = [
        *_own_resources(account, f"{project}-{stage}"),
        *_key(account, stage),
        *_by_kind_of_resource(account, f"{project}-{stage}"),
        _allow(ANY_RESOURCE, ["*"]),
    ]
    return json.dumps({"Version": POLICY_VERSION, "Statement": statements})


def _allow(
    actions: Sequence[str], resources: Sequence[str], conditions: Mapping[str, Any] | None = None
) -> Statement:
    statement: Statement = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    if conditions:
        statement["Condition"] = dict(conditions)
    return statement


def _own_resources(account: Account, base: str) -> list[Statement]:
    """Every action on resources named after the stage. `base` alone is the name of the fixed ones (ADR 3)."""
    own = f"{base}-*"
    group = base.replace("ncf", "NCF", 1)
    resources = {
        "budgets": [account.arn("budgets", f"budget/{own}", is_global=True)],
        "cloudwatch": [
            account.arn("cloudwatch", f"alarm:{own}"),
            account.arn("cloudwatch", f"alarm:TargetTracking-endpoint/{base}/*"),
            account.arn("cloudwatch", f"dashboard/{base}", is_global=True),
        ],
        "codebuild": [account.arn("codebuild", f"project/{own}")],
        "events": [account.arn("events", f"rule/{own}")],
        "iam": [
            account.arn("iam", f"role/{own}", is_global=True),
            account.arn("iam", f"instance-profile/{own}", is_global=True),
        ],
        "lambda": [account.arn("lambda", f"function:{own}")],
        "logs": [
            account.arn("logs", f"log-group:{own}"),
            account.arn("logs", f"log-group:/aws/sagemaker/Endpoints/{base}*"),
        ],
        "s3": [f"arn:{account.partition}:s3:::{own}"],
        "sagemaker": [
            account.arn("sagemaker", f"endpoint/{base}"),
            account.arn("sagemaker", f"endpoint-config/{own}"),
            account.arn("sagemaker", f"model/{own}"),
            # ARNs of SageMaker have the name as written, or in lower case.
            *(account.arn("sagemaker", f"model-package-group/{name}") for name in (group, base)),
        ],
        "scheduler": [account.arn("scheduler", f"schedule/default/{own}")],
        "sns": [account.arn("sns", own)],
        "sqs": [account.arn("sqs", own)],
    }
    return [_allow([f"{service}:*"], arns) for service, arns in resources.items()]


def _key(account: Account, stage: str) -> list[Statement]:
    """The stage's KMS key, by its tag, since the id of a key is random."""
    keys = [account.arn("kms", "key/*")]
    return [
        _allow(["kms:CreateKey"], ["*"], {"StringEquals": {"aws:RequestTag/Stage": stage}}),
        _allow(["kms:TagResource"], keys, {"StringEquals": {"aws:RequestTag/Stage": stage}}),
        _allow(["kms:*"], keys, {"StringEquals": {"aws:ResourceTag/Stage": stage}}),
    ]


def _by_kind_of_resource(account: Account, base: str) -> list[Statement]:
    """Resources whose ids are random, and that are not tagged when their first action is authorised."""
    region = account.region
    return [
        _allow(
            ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"], [account.arn("kms", f"alias/{base}")]
        ),
        _allow(NETWORK, ["*"], {"StringEquals": {"aws:RequestedRegion": region}}),
        # The private names of VPC endpoints are in hosted zones that EC2 owns (EC2 API, CreateVpcEndpoint).
        # Route 53's region is us-east-1, whatever the stage's.
        _allow(
            ["route53:AssociateVPCWithHostedZone"],
            [f"arn:{account.partition}:route53:::hostedzone/*"],
        ),
        _allow(
            ["apigateway:*"],
            [
                f"arn:{account.partition}:apigateway:{region}::{path}"
                for path in ("/apis", "/apis/*", "/tags/*")
            ],
        ),
        _allow(
            [
                "application-autoscaling:DeleteScalingPolicy",
                "application-autoscaling:DeregisterScalableTarget",
                "application-autoscaling:PutScalingPolicy",
                "application-autoscaling:RegisterScalableTarget",
                "application-autoscaling:TagResource",
                "application-autoscaling:UntagResource",
            ],
            [account.arn("application-autoscaling", "scalable-target/*")],
        ),
        _allow(
            ["iam:CreateServiceLinkedRole"],
            [account.arn("iam", "role/aws-service-role/*", is_global=True)],
            {"StringEquals": {"iam:AWSServiceName": list(SERVICE_LINKED)}},
        ),
    ]
