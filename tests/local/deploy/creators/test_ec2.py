"""Creators of network resources."""

from __future__ import annotations

from emulator.app import Emulator
from tests.local.deploy.conftest import DeploySource
from tests.local.projects import REGION, TAGS

NETWORK = f"""
vpc = aws.ec2.Vpc("v", cidr_block="10.0.0.0/16", enable_dns_hostnames=True)
subnet = aws.ec2.Subnet("s", vpc_id=vpc.id, cidr_block="10.0.1.0/24", availability_zone="{REGION}a",
                        map_public_ip_on_launch=False)
routes = aws.ec2.RouteTable("r", vpc_id=vpc.id)
aws.ec2.RouteTableAssociation("ra", subnet_id=subnet.id, route_table_id=routes.id)
s3 = aws.ec2.VpcEndpoint("s3", vpc_id=vpc.id, service_name="com.amazonaws.{REGION}.s3",
                         vpc_endpoint_type="Gateway", route_table_ids=[routes.id])
group = aws.ec2.SecurityGroup("g", vpc_id=vpc.id, description="d")
"""


def test_new_security_group_has_no_egress_rule(deploy_source: DeploySource, emulator: Emulator) -> None:
    group_id = deploy_source(NETWORK + 'pulumi.export("group", group.id)').outputs["group"]

    (group,) = emulator.client("ec2").describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    assert (group["IpPermissions"], group["IpPermissionsEgress"]) == ([], [])
    assert {tag["Key"]: tag["Value"] for tag in group["Tags"]} == TAGS


def test_default_security_group_loses_its_rules(deploy_source: DeploySource, emulator: Emulator) -> None:
    outputs = deploy_source(
        NETWORK
        + """
taken = aws.ec2.DefaultSecurityGroup("d", vpc_id=vpc.id, ingress=[], egress=[])
pulumi.export("taken", taken.id)
pulumi.export("default", vpc.default_security_group_id)
"""
    ).outputs

    assert outputs["taken"] == outputs["default"]
    (group,) = emulator.client("ec2").describe_security_groups(GroupIds=[outputs["taken"]])["SecurityGroups"]
    assert (group["IpPermissions"], group["IpPermissionsEgress"]) == ([], [])


def test_security_group_rules(deploy_source: DeploySource, emulator: Emulator) -> None:
    outputs = deploy_source(
        NETWORK
        + """
https = {"ip_protocol": "tcp", "from_port": 443, "to_port": 443, "security_group_id": group.id}
aws.vpc.SecurityGroupIngressRule("in", cidr_ipv4="10.0.0.0/16", description="inside", **https)
aws.vpc.SecurityGroupEgressRule("s3", prefix_list_id=s3.prefix_list_id, **https)
aws.vpc.SecurityGroupEgressRule("own", ip_protocol="-1", security_group_id=group.id,
                                referenced_security_group_id=group.id)
pulumi.export("group", group.id)
pulumi.export("prefixes", s3.prefix_list_id)
"""
    ).outputs
    filters = [{"Name": "group-id", "Values": [outputs["group"]]}]
    rules = emulator.client("ec2").describe_security_group_rules(Filters=filters)["SecurityGroupRules"]

    (ingress,) = [rule for rule in rules if not rule["IsEgress"]]
    assert (ingress["CidrIpv4"], ingress["FromPort"], ingress["Description"]) == (
        "10.0.0.0/16",
        443,
        "inside",
    )
    egress = [rule for rule in rules if rule["IsEgress"]]
    assert {rule.get("PrefixListId") for rule in egress} == {outputs["prefixes"], None}
    assert outputs["group"] in {rule.get("ReferencedGroupInfo", {}).get("GroupId") for rule in egress}


def test_gateway_endpoint_is_a_route(deploy_source: DeploySource, emulator: Emulator) -> None:
    outputs = deploy_source(
        NETWORK
        + 'pulumi.export("routes", routes.id)\npulumi.export("s3", s3.id)\npulumi.export("subnet", subnet.id)'
    ).outputs
    ec2 = emulator.client("ec2")

    (table,) = ec2.describe_route_tables(RouteTableIds=[outputs["routes"]])["RouteTables"]
    assert outputs["s3"] in {route.get("GatewayId") for route in table["Routes"]}
    assert [held["SubnetId"] for held in table["Associations"]] == [outputs["subnet"]]
    (subnet,) = ec2.describe_subnets(SubnetIds=[outputs["subnet"]])["Subnets"]
    assert subnet["MapPublicIpOnLaunch"] is False
