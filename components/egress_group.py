"""Security group of a job in private subnets: connections to AWS services and to one database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.network import HTTPS
from components.spark.security import Database


@dataclass(frozen=True, kw_only=True)
class EgressGroupArgs:
    """Arguments of `EgressGroup`.

    Attributes:
        description: description of the group.
        vpc_id, s3_prefix_list_id, endpoints_security_group_id: the network and its endpoints.
        database: networks and port of the database.
    """

    description: str
    vpc_id: pulumi.Input[str]
    s3_prefix_list_id: pulumi.Input[str]
    endpoints_security_group_id: pulumi.Input[str]
    database: Database


class EgressGroup(pulumi.ComponentResource):
    """Security group without ingress.

    Creates: SecurityGroup, SecurityGroupEgressRule (2, and one per network of the database).
    """

    id: pulumi.Output[str]

    def __init__(self, name: str, args: EgressGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:network:EgressGroup", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.id = aws.ec2.SecurityGroup(
            name, description=args.description, vpc_id=args.vpc_id, tags={"Name": name}, opts=child
        ).id
        targets: dict[str, tuple[int, Mapping[str, Any]]] = {
            "endpoints": (HTTPS, {"referenced_security_group_id": args.endpoints_security_group_id}),
            "s3": (HTTPS, {"prefix_list_id": args.s3_prefix_list_id}),
        }
        for number, block in enumerate(args.database.cidr_blocks):
            targets[f"database-{number}"] = (args.database.port, {"cidr_ipv4": block})
        for target, (port, rule) in targets.items():
            aws.vpc.SecurityGroupEgressRule(
                f"{name}-to-{target}",
                security_group_id=self.id,
                description=f"to {target.replace('-', ' ')}",
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                opts=child,
                **rule,
            )
        self.register_outputs({"id": self.id})
