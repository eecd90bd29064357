"""VPC of private subnets, connected to AWS services through VPC endpoints only."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from components.iam import ANY_RESOURCE, document

HTTPS = 443
MIN_VPC_PREFIX = 16  # VPC user guide, VPC CIDR blocks
SUBNET_PREFIX = 20  # 4,091 addresses per subnet: far more than the nodes of a cluster


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Arguments of `Network`.

    Attributes:
        account_id: account whose principals may use the endpoints, for the account's resources.
        region: region of the VPC; part of the endpoints' service names.
        cidr_block: addresses of the VPC, for example a /16.
        availability_zones: zones with one subnet each, such as ``ap-northeast-2a``.
        interface_endpoints: services to reach through interface endpoints, such as ``kms``.
        service_buckets: buckets of AWS that instances need, and the actions on their objects.
        subnet_tags: tags that services require on the subnets that they use.
    """

    account_id: pulumi.Input[str]
    region: str
    cidr_block: str
    availability_zones: Sequence[str]
    interface_endpoints: Sequence[str]
    service_buckets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    subnet_tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        network = ipaddress.ip_network(self.cidr_block)
        if not MIN_VPC_PREFIX <= network.prefixlen <= SUBNET_PREFIX:
            raise ValueError(
                f"cidr_block {self.cidr_block}: write a block from /{MIN_VPC_PREFIX} to /{SUBNET_PREFIX}"
            )
        n_subnets = 2 ** (SUBNET_PREFIX - network.prefixlen)
        if not 1 <= len(self.availability_zones) <= n_subnets:
            raise ValueError(f"availability_zones: {self.cidr_block} holds 1 to {n_subnets} subnets")
        for zone in self.availability_zones:
            if not zone.startswith(self.region):
                raise ValueError(f"availability zone {zone!r} is not in {self.region}")


class Network(pulumi.ComponentResource):
    """VPC of private subnets with a gateway endpoint for S3 and interface endpoints for other services.

    Without an internet gateway, NAT and public addresses, instances reach only the given services. The
    endpoints' policies refuse credentials and buckets of other accounts, except `service_buckets`.

    Creates: Vpc, DefaultSecurityGroup, RouteTable, Subnet and RouteTableAssociation (one per zone),
    VpcEndpoint (one per service), SecurityGroup, SecurityGroupIngressRule.
    """

    vpc_id: pulumi.Output[str]
    subnet_ids: list[pulumi.Output[str]]
    s3_prefix_list_id: pulumi.Output[str]
    endpoints_security_group_id: pulumi.Output[str]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:network:Network", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            name,
            cidr_block=args.cidr_block,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": name},
            opts=child,
        )
        # The default security group of a VPC allows all traffic between its members; remove its rules.
        aws.ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=vpc.id, ingress=[], egress=[], opts=child)
        routes = aws.ec2.RouteTable(f"{name}-routes", vpc_id=vpc.id, tags={"Name": name}, opts=child)
        self.vpc_id = vpc.id
        self.subnet_ids = self._subnets(name, args, routes)
        s3 = aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{args.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[routes.id],
            policy=s3_endpoint_policy(args.account_id, args.service_buckets),
            tags={"Name": f"{name}-s3"},
            opts=child,
        )
        self.s3_prefix_list_id = s3.prefix_list_id
        self.endpoints_security_group_id = self._interface_endpoints(name, args)
        self.register_outputs({"vpc_id": self.vpc_id, "subnet_ids": self.subnet_ids})

    def _subnets(self, name: str, args: NetworkArgs, routes: aws.ec2.RouteTable) -> list[pulumi.Output[str]]:
        child = pulumi.ResourceOptions(parent=self)
        blocks = ipaddress.ip_network(args.cidr_block).subnets(new_prefix=SUBNET_PREFIX)
        ids = []
        for zone, block in zip(args.availability_zones, blocks, strict=False):
            letter = zone.removeprefix(args.region)
            subnet = aws.ec2.Subnet(
                f"{name}-{letter}",
                vpc_id=self.vpc_id,
                cidr_block=str(block),
                availability_zone=zone,
                map_public_ip_on_launch=False,
                tags={"Name": f"{name}-{letter}", **args.subnet_tags},
                opts=child,
            )
            aws.ec2.RouteTableAssociation(
                f"{name}-{letter}-routes", subnet_id=subnet.id, route_table_id=routes.id, opts=child
            )
            ids.append(subnet.id)
        return ids

    def _interface_endpoints(self, name: str, args: NetworkArgs) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        group = aws.ec2.SecurityGroup(
            f"{name}-endpoints",
            description="HTTPS from inside the VPC to the endpoints of services",
            vpc_id=self.vpc_id,
            tags={"Name": f"{name}-endpoints"},
            opts=child,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-endpoints-https",
            security_group_id=group.id,
            description="HTTPS from inside the VPC",
            cidr_ipv4=args.cidr_block,
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            opts=child,
        )
        for service in args.interface_endpoints:
            aws.ec2.VpcEndpoint(
                f"{name}-{service}",
                vpc_id=self.vpc_id,
                service_name=f"com.amazonaws.{args.region}.{service}",
                vpc_endpoint_type="Interface",
                subnet_ids=self.subnet_ids,
                security_group_ids=[group.id],
                private_dns_enabled=True,
                policy=document([_account_statement(args.account_id)]),
                tags={"Name": f"{name}-{service}"},
                opts=child,
            )
        return group.id


def s3_endpoint_policy(
    account_id: pulumi.Input[str], service_buckets: Mapping[str, Sequence[str]]
) -> pulumi.Output[str]:
    """Policy of the endpoint of S3: principals of the account on its buckets, anyone on `service_buckets`.

    AWS's software reads and writes its own buckets without credentials of the account.
    """
    return document(
        [
            _account_statement(account_id, "aws:ResourceAccount"),
            *(
                {
                    "Effect": "Allow",
                    "Principal": ANY_RESOURCE,
                    "Action": sorted(actions),
                    "Resource": f"arn:aws:s3:::{bucket}/*",
                }
                for bucket, actions in sorted(service_buckets.items())
            ),
        ]
    )


def _account_statement(account_id: pulumi.Input[str], *more_keys: str) -> dict[str, Any]:
    """Statement of an endpoint policy; the policies of the caller decide on actions and resources."""
    return {
        "Effect": "Allow",
        "Principal": ANY_RESOURCE,
        "Action": ANY_RESOURCE,
        "Resource": ANY_RESOURCE,
        "Condition": {"StringEquals": dict.fromkeys(("aws:PrincipalAccount", *more_keys), account_id)},
    }
