"""Creators of VPCs, subnets, route tables, VPC endpoints, security groups and their rules."""

from __future__ import annotations

from typing import Any

from local.deploy.context import Context, Creator, tag_list
from local.deploy.inputs import Inputs

MAX_GROUP_NAME = 255  # EC2 API, CreateSecurityGroup


def _tags(inputs: Inputs, resource_type: str) -> list[dict[str, Any]]:
    tags = tag_list(inputs)
    return [{"ResourceType": resource_type, "Tags": tags}] if tags else []


def _compare(inputs: Inputs, sent: dict[str, Any], read: dict[str, Any]) -> None:
    tags = [tag for spec in sent.get("TagSpecifications", []) for tag in spec["Tags"]]
    own = {key: value for key, value in sent.items() if key != "TagSpecifications"}
    inputs.compare(own | {"Tags": tags}, read)


def vpc(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    ec2 = context.client("ec2")
    sent = {**inputs.pick({"cidrBlock": "CidrBlock"}), "TagSpecifications": _tags(inputs, "vpc")}
    vpc_id = ec2.create_vpc(**sent)["Vpc"]["VpcId"]
    for key, attribute in {
        "enableDnsSupport": "EnableDnsSupport",
        "enableDnsHostnames": "EnableDnsHostnames",
    }.items():
        if (value := inputs.get(key)) is not None:
            ec2.modify_vpc_attribute(VpcId=vpc_id, **{attribute: {"Value": value}})
            name = attribute[0].lower() + attribute[1:]
            read = ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute=name)
            inputs.compare({attribute: value}, {attribute: read[attribute]["Value"]})
    (read,) = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"]
    _compare(inputs, sent, read)
    of_vpc = [{"Name": "vpc-id", "Values": [vpc_id]}]
    (group,) = ec2.describe_security_groups(Filters=[*of_vpc, {"Name": "group-name", "Values": ["default"]}])[
        "SecurityGroups"
    ]
    (acl,) = ec2.describe_network_acls(Filters=of_vpc)["NetworkAcls"]
    (table,) = ec2.describe_route_tables(Filters=of_vpc)["RouteTables"]
    return vpc_id, {
        "arn": context.arn("ec2", f"vpc/{vpc_id}"),
        "cidrBlock": read["CidrBlock"],
        "ownerId": context.account_id,
        "instanceTenancy": read["InstanceTenancy"],
        "dhcpOptionsId": read["DhcpOptionsId"],
        "defaultSecurityGroupId": group["GroupId"],
        "defaultNetworkAclId": acl["NetworkAclId"],
        "defaultRouteTableId": table["RouteTableId"],
        "mainRouteTableId": table["RouteTableId"],
    }


def subnet(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    ec2 = context.client("ec2")
    sent = {
        **inputs.pick({"vpcId": "VpcId", "cidrBlock": "CidrBlock", "availabilityZone": "AvailabilityZone"}),
        "TagSpecifications": _tags(inputs, "subnet"),
    }
    subnet_id = ec2.create_subnet(**sent)["Subnet"]["SubnetId"]
    public = {"MapPublicIpOnLaunch": inputs.get("mapPublicIpOnLaunch", False)}
    ec2.modify_subnet_attribute(
        SubnetId=subnet_id, MapPublicIpOnLaunch={"Value": public["MapPublicIpOnLaunch"]}
    )
    (read,) = ec2.describe_subnets(SubnetIds=[subnet_id])["Subnets"]
    _compare(inputs, sent | public, read)
    return subnet_id, {
        "arn": context.arn("ec2", f"subnet/{subnet_id}"),
        "availabilityZone": read["AvailabilityZone"],
        "availabilityZoneId": read["AvailabilityZoneId"],
        "ownerId": context.account_id,
    }


def route_table(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    ec2 = context.client("ec2")
    sent = {**inputs.pick({"vpcId": "VpcId"}), "TagSpecifications": _tags(inputs, "route-table")}
    table_id = ec2.create_route_table(**sent)["RouteTable"]["RouteTableId"]
    (read,) = ec2.describe_route_tables(RouteTableIds=[table_id])["RouteTables"]
    _compare(inputs, sent, read)
    return table_id, {
        "arn": context.arn("ec2", f"route-table/{table_id}"),
        "ownerId": context.account_id,
    }


def route_table_association(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    sent = inputs.pick({"subnetId": "SubnetId", "routeTableId": "RouteTableId"})
    return context.client("ec2").associate_route_table(**sent)["AssociationId"], {}


def vpc_endpoint(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    ec2 = context.client("ec2")
    sent = {
        **inputs.pick(
            {
                "vpcId": "VpcId",
                "serviceName": "ServiceName",
                "vpcEndpointType": "VpcEndpointType",
                "routeTableIds": "RouteTableIds",
                "subnetIds": "SubnetIds",
                "securityGroupIds": "SecurityGroupIds",
                "privateDnsEnabled": "PrivateDnsEnabled",
                "policy": "PolicyDocument",
            }
        ),
        "TagSpecifications": _tags(inputs, "vpc-endpoint"),
    }
    endpoint_id = ec2.create_vpc_endpoint(**sent)["VpcEndpoint"]["VpcEndpointId"]
    (read,) = ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint_id])["VpcEndpoints"]
    groups = [group["GroupId"] for group in read.get("Groups", [])]
    _compare(inputs, sent, read | {"SecurityGroupIds": groups})
    outputs = {
        "arn": context.arn("ec2", f"vpc-endpoint/{endpoint_id}"),
        "ownerId": context.account_id,
        "state": read["State"],
        "policy": read["PolicyDocument"],
        "networkInterfaceIds": read.get("NetworkInterfaceIds", []),
    }
    prefix_lists = ec2.describe_prefix_lists(
        Filters=[{"Name": "prefix-list-name", "Values": [sent["ServiceName"]]}]
    )["PrefixLists"]
    if prefix_lists:  # gateway endpoints only
        outputs["prefixListId"] = prefix_lists[0]["PrefixListId"]
    return endpoint_id, outputs


def security_group(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    ec2 = context.client("ec2")
    sent = {
        "GroupName": context.name_of(inputs, name, max_length=MAX_GROUP_NAME),
        "Description": inputs.get("description", "Managed by Pulumi"),  # the provider's default
        **inputs.pick({"vpcId": "VpcId"}),
        "TagSpecifications": _tags(inputs, "security-group"),
    }
    group_id = ec2.create_security_group(**sent)["GroupId"]
    _revoke_all(ec2, group_id)  # like the provider: EC2 adds an egress rule for all traffic
    (read,) = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    _compare(inputs, sent, read)
    return group_id, _group_outputs(context, read)


def default_security_group(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    """Like the provider, adopt the VPC's default security group instead of creating one."""
    ec2 = context.client("ec2")
    (group,) = ec2.describe_security_groups(
        Filters=[
            {"Name": "vpc-id", "Values": [inputs["vpcId"]]},
            {"Name": "group-name", "Values": ["default"]},
        ]
    )["SecurityGroups"]
    group_id = group["GroupId"]
    _revoke_all(ec2, group_id)
    for key in ("ingress", "egress"):
        for rule in inputs.blocks(key):
            call = getattr(ec2, f"authorize_security_group_{key}")
            call(GroupId=group_id, IpPermissions=[_permission(rule)])
    if tags := tag_list(inputs):
        ec2.create_tags(Resources=[group_id], Tags=tags)
    (read,) = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    inputs.compare({"Tags": tags}, read)
    return group_id, _group_outputs(context, read)


def _revoke_all(ec2: Any, group_id: str) -> None:
    (group,) = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    if ingress := group["IpPermissions"]:
        ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=ingress)
    if egress := group["IpPermissionsEgress"]:
        ec2.revoke_security_group_egress(GroupId=group_id, IpPermissions=egress)


def _group_outputs(context: Context, group: dict[str, Any]) -> dict[str, Any]:
    return {
        "arn": context.arn("ec2", f"security-group/{group['GroupId']}"),
        "name": group["GroupName"],
        "ownerId": context.account_id,
        "ingress": [],
        "egress": [],
    }


def ingress_rule(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    return _rule(context, inputs, "ingress")


def egress_rule(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    return _rule(context, inputs, "egress")


def _rule(context: Context, inputs: Inputs, direction: str) -> tuple[str, dict[str, Any]]:
    ec2 = context.client("ec2")
    group_id = inputs["securityGroupId"]
    authorize = getattr(ec2, f"authorize_security_group_{direction}")
    sent = _permission(inputs)
    (rule,) = authorize(
        GroupId=group_id,
        IpPermissions=[sent],
        TagSpecifications=_tags(inputs, "security-group-rule"),
    )["SecurityGroupRules"]
    rule_id = rule["SecurityGroupRuleId"]
    (read,) = ec2.describe_security_group_rules(SecurityGroupRuleIds=[rule_id])["SecurityGroupRules"]
    inputs.compare(_as_described(sent), read)
    return rule_id, {
        "arn": rule.get("SecurityGroupRuleArn") or context.arn("ec2", f"security-group-rule/{rule_id}"),
        "securityGroupRuleId": rule_id,
    }


def _permission(inputs: Inputs) -> dict[str, Any]:
    described = inputs.pick({"description": "Description"})
    sent: dict[str, Any] = {
        **inputs.pick({"ipProtocol": "IpProtocol", "fromPort": "FromPort", "toPort": "ToPort"}),
    }
    if cidr := inputs.get("cidrIpv4"):
        sent["IpRanges"] = [{"CidrIp": cidr, **described}]
    if group := inputs.get("referencedSecurityGroupId"):
        sent["UserIdGroupPairs"] = [{"GroupId": group, **described}]
    if prefix_list := inputs.get("prefixListId"):
        sent["PrefixListIds"] = [{"PrefixListId": prefix_list, **described}]
    return sent


def _as_described(permission: dict[str, Any]) -> dict[str, Any]:
    """A permission in the format of DescribeSecurityGroupRules."""
    flat: dict[str, Any] = {
        key: permission[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in permission
    }
    for source in permission.get("IpRanges", []):
        flat |= {"CidrIpv4": source["CidrIp"], "Description": source.get("Description", "")}
    for source in permission.get("UserIdGroupPairs", []):
        flat |= {
            "ReferencedGroupInfo": {"GroupId": source["GroupId"]},
            "Description": source.get("Description", ""),
        }
    for source in permission.get("PrefixListIds", []):
        flat |= {"PrefixListId": source["PrefixListId"], "Description": source.get("Description", "")}
    return flat


CREATORS: dict[str, Creator] = {
    "aws:ec2/vpc:Vpc": vpc,
    "aws:ec2/subnet:Subnet": subnet,
    "aws:ec2/routeTable:RouteTable": route_table,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": route_table_association,
    "aws:ec2/vpcEndpoint:VpcEndpoint": vpc_endpoint,
    "aws:ec2/securityGroup:SecurityGroup": security_group,
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": default_security_group,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": ingress_rule,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": egress_rule,
}
