"""Requests with a role's credentials that deploy infrastructure: which action and resource each one needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from tests.emulator.authorization.conftest import RoleClient, allow

ACCOUNT = "ap-northeast-2:123456789012"
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/e/variant/v",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
TAGS = [{"ResourceType": "vpc", "Tags": [{"Key": "Stage", "Value": "dev"}]}]
BUDGET = {"BudgetName": "b", "TimeUnit": "MONTHLY", "BudgetType": "COST"}

# Service, permissions that are not sufficient, a call, and what it is refused for.
REFUSED: list[tuple[str, list[dict[str, Any]], Callable[[Any], Any], str]] = [
    (
        "ec2",
        [],
        lambda ec2: ec2.create_vpc(CidrBlock="10.0.0.0/16"),
        f"ec2:CreateVpc on resource: arn:aws:ec2:{ACCOUNT}:vpc/*",
    ),
    (
        "ec2",
        [allow("ec2:CreateVpc", "*")],
        lambda ec2: ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=TAGS),
        f"ec2:CreateTags on resource: arn:aws:ec2:{ACCOUNT}:vpc/*",
    ),
    (
        "ec2",
        [],
        lambda ec2: ec2.create_subnet(VpcId="vpc-12345678", CidrBlock="10.0.0.0/24"),
        "ec2:CreateSubnet",
    ),
    ("ec2", [], lambda ec2: ec2.delete_vpc(VpcId="vpc-12345678"), "vpc/vpc-12345678"),
    (
        "ec2",
        [allow("ec2:*", "*")],
        lambda ec2: ec2.create_vpc_endpoint(
            VpcId="vpc-12345678",
            ServiceName="com.amazonaws.ap-northeast-2.logs",
            VpcEndpointType="Interface",
            PrivateDnsEnabled=True,
        ),
        "route53:AssociateVPCWithHostedZone on resource: arn:aws:route53:::hostedzone/*",
    ),
    (
        "apigatewayv2",
        [allow("apigateway:GET", "*")],
        lambda api: api.create_api(Name="a", ProtocolType="HTTP"),
        "apigateway:POST on resource: arn:aws:apigateway:ap-northeast-2::/apis",
    ),
    (
        "apigatewayv2",
        [allow("apigateway:POST", "arn:aws:apigateway:*::/apis")],
        lambda api: api.create_api(Name="a", ProtocolType="HTTP", Tags={"Stage": "dev"}),
        "apigateway:POST on resource: arn:aws:apigateway:ap-northeast-2::/tags/*",
    ),
    (
        "budgets",
        [allow("budgets:ViewBudget", "*")],
        lambda budgets: budgets.create_budget(AccountId="123456789012", Budget=BUDGET),
        "budgets:ModifyBudget on resource: arn:aws:budgets::123456789012:budget/b",
    ),
    (
        "application-autoscaling",
        [allow("application-autoscaling:*", "*"), allow("iam:CreateServiceLinkedRole", "*")],
        lambda scaling: scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=2),
        f"sagemaker:DescribeEndpoint on resource: arn:aws:sagemaker:{ACCOUNT}:endpoint/e",
    ),
    (
        "kms",
        [],
        lambda kms: kms.create_key(),
        "kms:CreateKey on resource: * because no identity-based policy",
    ),
    (
        "kms",
        [allow("kms:CreateKey", "*")],
        lambda kms: kms.create_key(Tags=[{"TagKey": "Stage", "TagValue": "dev"}]),
        f"kms:TagResource on resource: arn:aws:kms:{ACCOUNT}:key/* because no identity-based policy",
    ),
    (
        "events",
        [allow("events:PutTargets", "*")],
        lambda events: events.put_targets(
            Rule="r",
            Targets=[{"Id": "t", "Arn": "arn:aws:sqs:::q", "RoleArn": "arn:aws:iam::123456789012:role/x"}],
        ),
        "iam:PassRole on resource: arn:aws:iam::123456789012:role/x",
    ),
]


@pytest.mark.parametrize(
    ("service", "permissions", "call", "reason"),
    REFUSED,
    ids=[f"{row[3].split()[0]} {number}" for number, row in enumerate(REFUSED)],
)
def test_deploying_call_is_refused_without_its_action(
    role_client: RoleClient,
    service: str,
    permissions: list[dict[str, Any]],
    call: Callable[[Any], Any],
    reason: str,
) -> None:
    with pytest.raises(ClientError) as refused:
        call(role_client(service, *permissions))
    assert reason in refused.value.response["Error"]["Message"]


def test_key_is_created_by_an_identity_policy_and_used_by_its_tag(role_client: RoleClient) -> None:
    of_stage = {"StringEquals": {"aws:ResourceTag/Stage": "dev"}}
    kms = role_client(
        "kms",
        allow("kms:CreateKey", "*"),
        allow("kms:TagResource", "*"),
        allow("kms:DescribeKey", "*", **of_stage),
    )
    own, other = (
        kms.create_key(Tags=[{"TagKey": "Stage", "TagValue": stage}])["KeyMetadata"]["KeyId"]
        for stage in ("dev", "prod")
    )
    assert kms.describe_key(KeyId=own)["KeyMetadata"]["KeyId"] == own
    with pytest.raises(ClientError, match="kms:DescribeKey"):
        kms.describe_key(KeyId=other)


@pytest.mark.parametrize("granted", ["alias", "key"])
def test_alias_needs_the_permission_on_alias_and_key(
    emulator: Emulator, role_client: RoleClient, granted: str
) -> None:
    key = emulator.client("kms").create_key()["KeyMetadata"]["Arn"]
    arns = {"alias": f"arn:aws:kms:{ACCOUNT}:alias/a", "key": key}
    missing = arns["key" if granted == "alias" else "alias"]
    kms = role_client("kms", allow("kms:CreateAlias", arns[granted]))
    with pytest.raises(ClientError) as refused:
        kms.create_alias(AliasName="alias/a", TargetKeyId=key)
    assert f"kms:CreateAlias on resource: {missing}" in refused.value.response["Error"]["Message"]
