"""Security-group rules keep their description, and all their fields change; deleted endpoints are gone."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.app import Emulator

RANGE = {"IpRanges": [{"CidrIp": "10.0.0.0/16", "Description": "first"}]}
PREFIX_LIST = {"PrefixListIds": [{"PrefixListId": "pl-12345678", "Description": "first"}]}


@pytest.fixture(scope="module")
def ec2(emulator: Emulator) -> Any:
    return emulator.client("ec2")


@pytest.fixture
def group(ec2: Any) -> str:
    """Security group of a new VPC."""
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    return str(ec2.create_security_group(GroupName="nodes", Description="nodes", VpcId=vpc)["GroupId"])


def to_group(group: str) -> dict[str, Any]:
    return {"UserIdGroupPairs": [{"GroupId": group, "Description": "first"}]}


def authorize(ec2: Any, group: str, source: dict[str, Any]) -> str:
    permission = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, **source}
    made = ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[permission])
    return str(made["SecurityGroupRules"][0]["SecurityGroupRuleId"])


def read(ec2: Any, rule: str) -> dict[str, Any]:
    (found,) = ec2.describe_security_group_rules(SecurityGroupRuleIds=[rule])["SecurityGroupRules"]
    return dict(found)


@pytest.mark.parametrize("source", ["group", "prefix list", "range"])
def test_description_is_kept_and_changed(ec2: Any, group: str, source: str) -> None:
    sources = {
        "group": (to_group(group), {"ReferencedGroupId": group}),
        "prefix list": (PREFIX_LIST, {"PrefixListId": "pl-12345678"}),
        "range": (RANGE, {"CidrIpv4": "10.0.0.0/16"}),
    }
    sent, named = sources[source]
    rule = authorize(ec2, group, sent)
    assert read(ec2, rule)["Description"] == "first"
    new = {"IpProtocol": "tcp", "FromPort": 8443, "ToPort": 8443, "Description": "second", **named}
    ec2.modify_security_group_rules(
        GroupId=group, SecurityGroupRules=[{"SecurityGroupRuleId": rule, "SecurityGroupRule": new}]
    )
    changed = read(ec2, rule)
    assert (changed["Description"], changed["FromPort"]) == ("second", 8443)


def test_rule_for_all_protocols_is_changed_without_ports(ec2: Any, group: str) -> None:
    permission = {"IpProtocol": "-1", **to_group(group)}
    made = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    rule = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    new = {"IpProtocol": "-1", "ReferencedGroupId": group}
    ec2.modify_security_group_rules(
        GroupId=group, SecurityGroupRules=[{"SecurityGroupRuleId": rule, "SecurityGroupRule": new}]
    )
    assert "Description" not in read(ec2, rule)


def test_rule_is_revoked_without_its_description(ec2: Any, group: str) -> None:
    rule = authorize(ec2, group, to_group(group))
    plain = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": [{"GroupId": group}]}
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[plain])
    left = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
    assert rule not in [found["SecurityGroupRuleId"] for found in left["SecurityGroupRules"]]


def test_deleted_vpc_endpoint_is_not_listed(ec2: Any) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    service = "com.amazonaws.ap-northeast-2.s3"
    endpoint = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=service, VpcEndpointType="Gateway")
    made = endpoint["VpcEndpoint"]["VpcEndpointId"]
    ec2.delete_vpc_endpoints(VpcEndpointIds=[made])
    assert made not in [found["VpcEndpointId"] for found in ec2.describe_vpc_endpoints()["VpcEndpoints"]]
