"""A Spark job that a scheduler launches on a transient EMR cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from components.iam import Allow, ServiceRole, ServiceRoleArgs, pass_role
from components.run_job_flow import CONFIGURATIONS, Cluster, instances, spark_step
from components.spark_security import EMR_TAGS, ClusterSecurity, ClusterSecurityArgs

EMR = "elasticmapreduce.amazonaws.com"
SERVICE_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2"


@dataclass(frozen=True, kw_only=True)
class SparkJobArgs:
    """What a Spark job needs to know.

    Args:
        job_name: names the clusters.
        release: EMR release label, such as ``emr-7.10.0``.
        code_bucket, code_prefix: where the code goes, the prefix with its trailing slash.
        package: the Python package as a zip.
        entry: the script that spark-submit runs.
        arguments: the script's arguments.
        document_key: where the RunJobFlow document is published.
        log_bucket, log_prefix: where EMR leaves its logs.
        kms_key_arn: encrypts disks, logs and what the job writes.
        certificates_uri: see `ClusterSecurityArgs`.
        node_allows: what the nodes may do; reading the code and writing logs among it.
        account_id: the account on whose behalf EMR acts.
        vpc_id, subnet_id, s3_prefix_list_id, endpoints_security_group_id: the network.
        cluster: the nodes.
        tags: what clusters carry, as they are no resource of the program.
    """

    job_name: str
    release: str
    code_bucket: pulumi.Input[str]
    code_prefix: str
    package: pulumi.FileAsset
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
    subnet_id: pulumi.Input[str]
    s3_prefix_list_id: pulumi.Input[str]
    endpoints_security_group_id: pulumi.Input[str]
    cluster: Cluster = field(default_factory=Cluster)
    tags: Mapping[str, str] = field(default_factory=dict)


class SparkJob(pulumi.ComponentResource):
    """All that a run needs but the cluster itself, which is born and dies with the run.

    The complete RunJobFlow document is published as an object: whoever schedules reads it, puts the run
    id where the placeholder stands and calls ``emr.run_job_flow(**document)``.
    """

    document: pulumi.Output[str]
    document_uri: pulumi.Output[str]
    service_role_arn: pulumi.Output[str]
    node_role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: SparkJobArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:spark:SparkJob", name, None, opts)
        self._name = name
        child = pulumi.ResourceOptions(parent=self)
        nodes = ServiceRole(
            f"{name}-nodes",
            ServiceRoleArgs(service="ec2.amazonaws.com", allows=args.node_allows),
            child,
        )
        profile = aws.iam.InstanceProfile(f"{name}-nodes-profile", role=nodes.name, opts=child)
        service = ServiceRole(f"{name}-service", self._service_role(args, nodes.arn), child)
        security = ClusterSecurity(
            f"{name}-cluster",
            ClusterSecurityArgs(
                kms_key_arn=args.kms_key_arn,
                certificates_uri=args.certificates_uri,
                vpc_id=args.vpc_id,
                s3_prefix_list_id=args.s3_prefix_list_id,
                endpoints_security_group_id=args.endpoints_security_group_id,
            ),
            child,
        )
        package = self._object("package", args, f"{args.code_prefix}ml.zip", source=args.package)
        entry = self._object("entry", args, f"{args.code_prefix}prepare.py", source=args.entry)
        flow = {
            "Name": args.job_name,
            "ReleaseLabel": args.release,
            "Applications": [{"Name": "Spark"}],
            "LogUri": pulumi.Output.concat("s3://", args.log_bucket, "/", args.log_prefix),
            "LogEncryptionKmsKeyId": args.kms_key_arn,
            "ServiceRole": service.arn,
            "JobFlowRole": profile.name,
            "SecurityConfiguration": security.configuration_name,
            "Instances": instances(args.cluster, args.subnet_id, security),
            "Configurations": CONFIGURATIONS,
            "Steps": [spark_step(args.job_name, _uri(package), _uri(entry), args.arguments)],
            "Tags": [{"Key": key, "Value": value} for key, value in {**args.tags, **EMR_TAGS}.items()],
        }
        self.document = pulumi.Output.json_dumps(flow, sort_keys=True)
        published = self._object("run-job-flow", args, args.document_key, content=self.document)
        self.document_uri = _uri(published)
        self.service_role_arn = service.arn
        self._cleanup_role_arn = pulumi.Output.concat(
            "arn:aws:iam::", args.account_id, f":role/aws-service-role/{EMR}/AWSServiceRoleForEMRCleanup"
        )
        self.node_role_arn = nodes.arn
        self.register_outputs({"document_uri": self.document_uri})

    def launch(self) -> list[Allow]:
        """Launching a run by a role of one's own."""
        return [
            Allow(
                actions=["elasticmapreduce:RunJobFlow", "elasticmapreduce:AddTags"],
                resources=["*"],
                reason="RunJobFlow has no resource-level permissions: the cluster doesn't exist yet",
                conditions={
                    "StringEquals": {
                        f"elasticmapreduce:RequestTag/{key}": value for key, value in EMR_TAGS.items()
                    }
                },
            ),
            # EMR's clean-up role is made with the first cluster of an account.
            Allow(
                actions=["iam:CreateServiceLinkedRole"],
                resources=[self._cleanup_role_arn],
                conditions={"StringEquals": {"iam:AWSServiceName": EMR}},
            ),
            pass_role(self.service_role_arn, EMR),
            pass_role(self.node_role_arn, "ec2.amazonaws.com"),
        ]

    def _service_role(self, args: SparkJobArgs, node_role_arn: pulumi.Output[str]) -> ServiceRoleArgs:
        return ServiceRoleArgs(
            service=EMR,
            source_account=args.account_id,
            managed_policy_arns=[SERVICE_POLICY],
            allows=[
                pass_role(node_role_arn, "ec2.amazonaws.com"),
                Allow(
                    actions=[
                        "kms:Decrypt",
                        "kms:DescribeKey",
                        "kms:GenerateDataKey",
                        "kms:GenerateDataKeyWithoutPlaintext",
                        "kms:ReEncryptFrom",
                        "kms:ReEncryptTo",
                    ],
                    resources=[args.kms_key_arn],
                ),
                # EBS volumes of the nodes are opened by a grant to EC2.
                Allow(
                    actions=["kms:CreateGrant"],
                    resources=[args.kms_key_arn],
                    conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
                ),
            ],
        )

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
