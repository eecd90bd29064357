"""Security groups and security configuration of an EMR cluster."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

HTTPS = 443
ALL_PORTS = None
# EMR management guide, "Amazon EMR-managed security groups" for private subnets.
EMR_TO_NODES = 8443
PRIMARY_TO_EMR = 9443
# AmazonEMRServicePolicy_v2 allows changes to resources with this tag only.
EMR_TAGS = {"for-use-with-amazon-emr-managed-policies": "true"}
ALL_ADDRESSES = 0  # prefix length of 0.0.0.0/0


@dataclass(frozen=True, kw_only=True)
class Database:
    """Database that the nodes may connect to.

    Attributes:
        cidr_blocks: networks of its servers, or of private endpoints to them.
        port: TCP port of the servers.
    """

    cidr_blocks: Sequence[str]
    port: int

    def __post_init__(self) -> None:
        if not self.cidr_blocks:
            raise ValueError("cidr_blocks: name at least one network of the database")
        for block in self.cidr_blocks:
            try:
                network = ipaddress.IPv4Network(block)
            except ValueError as error:
                raise ValueError(f"cidr_blocks: {error}; write a network, such as '10.9.0.0/24'") from None
            if network.prefixlen == ALL_ADDRESSES:
                raise ValueError(f"cidr_blocks: {block} matches all addresses; name its networks")


@dataclass(frozen=True, kw_only=True)
class ClusterSecurityArgs:
    """Arguments of `ClusterSecurity`.

    Attributes:
        kms_key_arn: encrypts local disks and objects that the cluster writes to S3.
        certificates_uri: zip of PEM certificates in S3, with which EMR encrypts the traffic of all
            applications. None: only Spark's traffic is encrypted, by Spark (see `run_job_flow`).
        vpc_id, s3_prefix_list_id, endpoints_security_group_id: network of the cluster, allowed targets.
        database: database that the nodes may connect to; None for no target outside of AWS.
    """

    kms_key_arn: pulumi.Input[str]
    certificates_uri: str | None
    vpc_id: pulumi.Input[str]
    s3_prefix_list_id: pulumi.Input[str]
    endpoints_security_group_id: pulumi.Input[str]
    database: Database | None = None


class ClusterSecurity(pulumi.ComponentResource):
    """Security groups of an EMR cluster with the minimal rules of a private cluster, and encryption settings.

    Creates: SecurityGroup (3), SecurityGroupIngressRule, SecurityGroupEgressRule, SecurityConfiguration.
    """

    primary_group_id: pulumi.Output[str]
    core_group_id: pulumi.Output[str]
    service_group_id: pulumi.Output[str]
    configuration_name: pulumi.Output[str]

    def __init__(
        self, name: str, args: ClusterSecurityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ncf:spark:ClusterSecurity", name, None, opts)
        self._name = name
        groups = {
            "primary": self._group("primary", "EMR primary node", args.vpc_id),
            "core": self._group("core", "EMR core and task nodes", args.vpc_id),
            "service": self._group("service", "Access of EMR to the nodes of a private cluster", args.vpc_id),
        }
        for source, target, port in (
            ("primary", "primary", ALL_PORTS),
            ("primary", "core", ALL_PORTS),
            ("core", "primary", ALL_PORTS),
            ("core", "core", ALL_PORTS),
            ("service", "primary", EMR_TO_NODES),
            ("service", "core", EMR_TO_NODES),
            ("primary", "service", PRIMARY_TO_EMR),
        ):
            self._allow(source, target, groups, port)
        for node in ("primary", "core"):
            self._egress(
                f"{node}-to-endpoints",
                groups[node],
                {"referenced_security_group_id": args.endpoints_security_group_id, **_tcp(HTTPS)},
            )
            self._egress(
                f"{node}-to-s3", groups[node], {"prefix_list_id": args.s3_prefix_list_id, **_tcp(HTTPS)}
            )
        if args.database is not None:
            # Driver and executors run on core and task nodes; the primary node needs no access.
            for number, block in enumerate(args.database.cidr_blocks):
                self._egress(
                    f"core-to-database-{number}",
                    groups["core"],
                    {"cidr_ipv4": block, **_tcp(args.database.port)},
                )
        configuration = aws.emr.SecurityConfiguration(
            f"{name}-configuration",
            configuration=security_configuration(args.kms_key_arn, args.certificates_uri),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.primary_group_id = groups["primary"].id
        self.core_group_id = groups["core"].id
        self.service_group_id = groups["service"].id
        self.configuration_name = configuration.name
        self.register_outputs({"configuration_name": self.configuration_name})

    def _group(self, role: str, description: str, vpc_id: pulumi.Input[str]) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            f"{self._name}-{role}",
            description=description,
            vpc_id=vpc_id,
            # EMR adds rules, and groups that reference each other cannot be deleted before their rules.
            revoke_rules_on_delete=True,
            tags={"Name": f"{self._name}-{role}", **EMR_TAGS},
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _allow(
        self, source: str, target: str, groups: dict[str, aws.ec2.SecurityGroup], port: int | None
    ) -> None:
        """Egress rule of the source group and ingress rule of the target group for the same flow."""
        ports = _tcp(port) if port else {"ip_protocol": "-1"}
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-{target}-from-{source}",
            security_group_id=groups[target].id,
            description=f"from {source}",
            referenced_security_group_id=groups[source].id,
            opts=pulumi.ResourceOptions(parent=self),
            **ports,
        )
        self._egress(
            f"{source}-to-{target}",
            groups[source],
            {"referenced_security_group_id": groups[target].id, **ports},
        )

    def _egress(self, flow: str, group: aws.ec2.SecurityGroup, rule: dict[str, Any]) -> None:
        aws.vpc.SecurityGroupEgressRule(
            f"{self._name}-{flow}",
            security_group_id=group.id,
            description=flow.replace("-", " "),
            opts=pulumi.ResourceOptions(parent=self),
            **rule,
        )


def _tcp(port: int) -> dict[str, Any]:
    return {"ip_protocol": "tcp", "from_port": port, "to_port": port}


def security_configuration(
    kms_key_arn: pulumi.Input[str], certificates_uri: str | None
) -> pulumi.Output[str]:
    """EMR security configuration: encryption of S3, disks and (with certificates) traffic; IMDSv2 only."""
    encryption: dict[str, Any] = {
        "EnableAtRestEncryption": True,
        "AtRestEncryptionConfiguration": {
            "S3EncryptionConfiguration": {"EncryptionMode": "SSE-KMS", "AwsKmsKey": kms_key_arn},
            "LocalDiskEncryptionConfiguration": {
                "EncryptionKeyProviderType": "AwsKms",
                "AwsKmsKey": kms_key_arn,
                "EnableEbsEncryption": True,
            },
        },
        "EnableInTransitEncryption": certificates_uri is not None,
    }
    if certificates_uri is not None:
        encryption["InTransitEncryptionConfiguration"] = {
            "TLSCertificateConfiguration": {
                "CertificateProviderType": "PEM",
                "S3Object": certificates_uri,
            }
        }
    return pulumi.Output.json_dumps(
        {
            "EncryptionConfiguration": encryption,
            "InstanceMetadataServiceConfiguration": {
                "MinimumInstanceMetadataServiceVersion": 2,
                "HttpPutResponseHopLimit": 1,
            },
        }
    )
