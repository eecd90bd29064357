"""Spark job that a scheduler launches on a transient EMR cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from components.iam import Allow, ServiceRole, ServiceRoleArgs
from components.spark.cluster import Cluster
from components.spark.permissions import EC2, EMR, ClusterPermissions, service_role
from components.spark.run_job_flow import Code, configurations, instances, spark_step
from components.spark.security import EMR_TAGS, ClusterSecurity, ClusterSecurityArgs, Database

PACKAGES_FILE = "packages.zip"  # below the code's prefix
SERVICE_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2"


@dataclass(frozen=True, kw_only=True)
class SparkJobArgs:
    """Arguments of `SparkJob`.

    Attributes:
        job_name: name of the clusters and of their step.
        release: EMR release label, such as ``emr-7.10.0``.
        code_bucket, code_prefix: location that the code is published to; the prefix ends with a slash.
        package: the Python package as a zip.
        packages: the third-party packages as a zip, built for the nodes' Python and processor.
        entry: script that spark-submit runs.
        arguments: arguments of the script.
        document_key: key that the RunJobFlow document is published under, in `code_bucket`.
        log_bucket, log_prefix: location of EMR's logs.
        kms_key_arn: encrypts disks, logs and the objects that the job writes.
        certificates_uri: see `ClusterSecurityArgs`.
        node_allows: permissions of the nodes, reading the code and writing logs included.
        account_id: the account on whose behalf EMR acts.
        vpc_id, subnet_ids, s3_prefix_list_id, endpoints_security_group_id: network; EMR chooses a subnet.
        database: database that the nodes may connect to; None for no target outside of AWS.
        cluster: the nodes.
        tags: tags of the clusters; provider default tags do not apply to them.
    """

    job_name: str
    release: str
    code_bucket: pulumi.Input[str]
    code_prefix: str
    package: pulumi.FileAsset
    packages: pulumi.FileAsset
    entry: pulumi.FileAsset
    arguments: Sequence[pulumi.Input[str]]
    document_key: str
    log_bucket: pulumi.Input[str]
    log_prefix: str
    kms_key_arn: pulumi.Input[str]
    certificates_uri: str | None = None
    node_allows: Sequence[Allow]
    account_id: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    s3_prefix_list_id: pulumi.Input[str]
    endpoints_security_group_id: pulumi.Input[str]
    database: Database | None = None
    cluster: Cluster = field(default_factory=Cluster)
    tags: Mapping[str, str] = field(default_factory=dict)


class SparkJob(pulumi.ComponentResource):
    """Roles, security, code and RunJobFlow document of a Spark job; schedulers launch a cluster per run.

    The document is published to S3: a scheduler reads it, replaces the placeholder of the run id and calls
    ``emr.run_job_flow(**document)``.

    Creates: ServiceRole (2), InstanceProfile, ClusterSecurity, BucketObjectv2 (4).
    """

    document: pulumi.Output[str]
    document_uri: pulumi.Output[str]
    permissions: ClusterPermissions

    def __init__(self, name: str, args: SparkJobArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:spark:SparkJob", name, None, opts)
        self._name = name
        child = pulumi.ResourceOptions(parent=self)
        tags = {**args.tags, **EMR_TAGS}
        nodes = ServiceRole(
            f"{name}-nodes", ServiceRoleArgs(service=EC2, allows=self._node_allows(args)), child
        )
        profile = aws.iam.InstanceProfile(f"{name}-nodes-profile", role=nodes.name, opts=child)
        service = ServiceRole(
            f"{name}-service",
            ServiceRoleArgs(
                service=EMR,
                source_account=args.account_id,
                managed_policy_arns=[SERVICE_POLICY],
                allows=service_role(args.account_id, nodes.arn, args.kms_key_arn),
            ),
            child,
        )
        security = ClusterSecurity(
            f"{name}-cluster",
            ClusterSecurityArgs(
                kms_key_arn=args.kms_key_arn,
                certificates_uri=args.certificates_uri,
                vpc_id=args.vpc_id,
                s3_prefix_list_id=args.s3_prefix_list_id,
                endpoints_security_group_id=args.endpoints_security_group_id,
                database=args.database,
            ),
            child,
        )
        flow = {
            **self._run_job_flow(args, security),
            "ServiceRole": service.arn,
            "JobFlowRole": profile.name,
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
        self.document = pulumi.Output.json_dumps(flow, sort_keys=True)
        published = self._object("run-job-flow", args, args.document_key, content=self.document)
        self.document_uri = _uri(published)
        self.permissions = ClusterPermissions(
            account_id=args.account_id,
            service_role_arn=service.arn,
            node_role_arn=nodes.arn,
            tags=tags,
        )
        self.register_outputs({"document_uri": self.document_uri})

    def _run_job_flow(self, args: SparkJobArgs, security: ClusterSecurity) -> dict[str, Any]:
        """The RunJobFlow request without roles and tags."""
        return {
            "Name": args.job_name,
            "ReleaseLabel": args.release,
            "Applications": [{"Name": "Spark"}],
            "LogUri": pulumi.Output.concat("s3://", args.log_bucket, "/", args.log_prefix),
            "LogEncryptionKmsKeyId": args.kms_key_arn,
            "SecurityConfiguration": security.configuration_name,
            "Instances": instances(args.cluster, args.subnet_ids, security),
            "ManagedScalingPolicy": args.cluster.managed_scaling(),
            "AutoTerminationPolicy": {"IdleTimeout": args.cluster.idle_timeout_s},
            "Configurations": configurations(args.cluster),
            "Steps": [spark_step(args.job_name, self._code(args), args.arguments)],
        }

    def _node_allows(self, args: SparkJobArgs) -> list[Allow]:
        """Permissions of the nodes; EMR downloads the certificates with their role."""
        if args.certificates_uri is None:
            return list(args.node_allows)
        certificates = f"arn:aws:s3:::{args.certificates_uri.removeprefix('s3://')}"
        return [*args.node_allows, Allow(actions=["s3:GetObject"], resources=[certificates])]

    def _code(self, args: SparkJobArgs) -> Code:
        """Publish the code to S3."""
        files = {"ml.zip": args.package, PACKAGES_FILE: args.packages, "prepare.py": args.entry}
        roles = ("package", "packages", "entry")
        published = {
            role: _uri(self._object(role, args, f"{args.code_prefix}{name}", source=source))
            for role, (name, source) in zip(roles, files.items(), strict=True)
        }
        return Code(**published)

    def _object(
        self,
        role: str,
        args: SparkJobArgs,
        key: str,
        source: pulumi.FileAsset | None = None,
        content: pulumi.Output[str] | None = None,
    ) -> aws.s3.BucketObjectv2:
        return aws.s3.BucketObjectv2(
            f"{self._name}-{role}",
            bucket=args.code_bucket,
            key=key,
            source=source,
            content=content,
            kms_key_id=args.kms_key_arn,
            server_side_encryption="aws:kms",
            opts=pulumi.ResourceOptions(parent=self),
        )


def _uri(uploaded: aws.s3.BucketObjectv2) -> pulumi.Output[str]:
    return pulumi.Output.concat("s3://", uploaded.bucket, "/", uploaded.key)
