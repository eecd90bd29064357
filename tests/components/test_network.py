"""Network: private subnets without a route to the internet."""

import json
from typing import Any

import pytest

from components.network import Network, NetworkArgs
from tests import pulumi_engine
from tests.pulumi_engine import Recording

ENDPOINT, SUBNET = "aws:ec2/vpcEndpoint:VpcEndpoint", "aws:ec2/subnet:Subnet"


def arguments(**overrides: Any) -> NetworkArgs:
    return NetworkArgs(
        **{
            "account_id": "123456789012",
            "region": "ap-northeast-2",
            "cidr_block": "10.40.0.0/16",
            "availability_zones": ["ap-northeast-2a", "ap-northeast-2c"],
            "interface_endpoints": ["kms"],
            "service_buckets": {"repo.ap-northeast-2.emr.amazonaws.com": ["s3:GetObject"]},
            "subnet_tags": {"for": "emr"},
            **overrides,
        }
    )


@pytest.fixture(scope="module")
def done() -> Recording:
    return pulumi_engine.run(lambda: Network("net", arguments()).vpc_id)


def test_each_zone_has_a_private_subnet(done: Recording) -> None:
    subnets = {each.inputs["availabilityZone"]: each.inputs for each in done.of(SUBNET)}
    assert {zone: subnet["cidrBlock"] for zone, subnet in subnets.items()} == {
        "ap-northeast-2a": "10.40.0.0/20",
        "ap-northeast-2c": "10.40.16.0/20",
    }
    assert not any(subnet["mapPublicIpOnLaunch"] for subnet in subnets.values())
    assert all(subnet["tags"]["for"] == "emr" for subnet in subnets.values())


def test_network_has_no_route_to_the_internet(done: Recording) -> None:
    kinds = {each.type for each in done.resources}
    assert not [kind for kind in kinds if "Gateway" in kind or "Eip" in kind or "route:Route" in kind]
    assert "routes" not in done.one("aws:ec2/routeTable:RouteTable").inputs


def test_given_services_have_endpoints(done: Recording) -> None:
    by_name = {each.inputs["serviceName"].rpartition(".")[2]: each.inputs for each in done.of(ENDPOINT)}
    assert by_name["s3"]["vpcEndpointType"] == "Gateway"
    assert by_name["kms"]["vpcEndpointType"] == "Interface"
    assert by_name["kms"]["privateDnsEnabled"] is True
    assert len(by_name["kms"]["subnetIds"]) == 2
    assert set(by_name) == {"s3", "kms"}


def test_endpoint_is_not_open_to_other_accounts(done: Recording) -> None:
    """AWS's default policy of an endpoint allows every principal everything."""
    policies = {
        each.inputs["serviceName"].rpartition(".")[2]: json.loads(each.inputs["policy"])["Statement"]
        for each in done.of(ENDPOINT)
    }
    own, packages = policies["s3"]
    assert own["Condition"] == {
        "StringEquals": {"aws:PrincipalAccount": "123456789012", "aws:ResourceAccount": "123456789012"}
    }
    assert (packages["Action"], packages["Resource"]) == (
        ["s3:GetObject"],
        "arn:aws:s3:::repo.ap-northeast-2.emr.amazonaws.com/*",
    )
    (keys,) = policies["kms"]
    assert keys["Condition"] == {"StringEquals": {"aws:PrincipalAccount": "123456789012"}}


def test_endpoints_accept_https_from_the_vpc_only(done: Recording) -> None:
    rule = done.one("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").inputs
    assert (rule["cidrIpv4"], rule["fromPort"], rule["toPort"]) == ("10.40.0.0/16", 443, 443)


def test_default_security_group_has_no_rules(done: Recording) -> None:
    inputs = done.one("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup").inputs
    assert inputs["ingress"] == inputs["egress"] == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"availability_zones": []}, "holds 1 to 16 subnets"),
        ({"availability_zones": ["eu-west-1a"]}, "not in ap-northeast-2"),
        ({"cidr_block": "10.40.0.0/24"}, "from /16 to /20"),
        ({"cidr_block": "10.0.0.0/8"}, "from /16 to /20"),
    ],
)
def test_invalid_network_is_refused(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        arguments(**overrides)
