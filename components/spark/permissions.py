"""Permissions on the EMR clusters of one job, and of EMR's service role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.iam import Allow, Conditions, grant_pass_role

EMR, EC2, SPOT = "elasticmapreduce.amazonaws.com", "ec2.amazonaws.com", "spot.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class ClusterPermissions:
    """Permissions on the clusters of one job, which are identified by their tags.

    Attributes:
        account_id: account of the clusters.
        service_role_arn, node_role_arn: roles that are passed to a cluster.
        tags: tags of every cluster of the job.
    """

    account_id: pulumi.Input[str]
    service_role_arn: pulumi.Input[str]
    node_role_arn: pulumi.Input[str]
    tags: Mapping[str, str]

    def grant_launch(self) -> list[Allow]:
        """Permissions to launch a cluster; attach them to the caller's role."""
        return [
            Allow(
                actions=["elasticmapreduce:RunJobFlow"],
                resources=["*"],
                reason="RunJobFlow has no resource-level permissions: the cluster doesn't exist yet",
                conditions=self._tagged("RequestTag"),
            ),
            # Required by RunJobFlow requests with tags.
            Allow(
                actions=["elasticmapreduce:AddTags"],
                resources=[self._clusters()],
                conditions=self._tagged("RequestTag"),
            ),
            # Required by RunJobFlow requests with these policies. Whether EMR authorises them with the tags
            # of the new cluster is not documented, so that clusters without the tags are not excluded.
            Allow(
                actions=[
                    "elasticmapreduce:PutAutoTerminationPolicy",
                    "elasticmapreduce:PutManagedScalingPolicy",
                ],
                resources=[self._clusters()],
                conditions={"StringEqualsIfExists": self._tagged("ResourceTag")["StringEquals"]},
            ),
            # EMR creates its cleanup role with the first cluster of an account.
            _grant_service_linked_role(self.account_id, EMR, "AWSServiceRoleForEMRCleanup"),
            grant_pass_role(self.service_role_arn, EMR),
            grant_pass_role(self.node_role_arn, EC2),
        ]

    def grant_manage(self) -> list[Allow]:
        """Permissions to list, describe and terminate the job's clusters."""
        return [
            Allow(
                actions=["elasticmapreduce:ListClusters"],
                resources=["*"],
                reason="listing has no resource-level permissions",
            ),
            Allow(
                actions=[
                    "elasticmapreduce:DescribeCluster",
                    "elasticmapreduce:DescribeStep",
                    "elasticmapreduce:ListSteps",
                    "elasticmapreduce:TerminateJobFlows",
                ],
                resources=[self._clusters()],
                conditions=self._tagged("ResourceTag"),
            ),
        ]

    def _tagged(self, condition_key: str) -> Conditions:
        """Condition that the request (``RequestTag``) or the cluster (``ResourceTag``) has all tags."""
        tags = {f"elasticmapreduce:{condition_key}/{key}": value for key, value in self.tags.items()}
        return {"StringEquals": tags}

    def _clusters(self) -> pulumi.Output[str]:
        return pulumi.Output.concat("arn:aws:elasticmapreduce:*:", self.account_id, ":cluster/*")


def node_key(kms_key_arn: pulumi.Input[str]) -> Allow:
    """Permission of the nodes to use the key of the security configuration, for local disks and EMRFS.

    EMR management guide, "Encryption at rest using AWS KMS": all of these actions for the instance profile.
    """
    return Allow(
        actions=[
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ],
        resources=[kms_key_arn],
    )


def service_role(
    account_id: pulumi.Input[str], node_role_arn: pulumi.Input[str], kms_key_arn: pulumi.Input[str]
) -> list[Allow]:
    """Permissions of EMR's service role, in addition to the AWS managed policy."""
    return [
        grant_pass_role(node_role_arn, EC2),
        Allow(
            actions=[
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:GenerateDataKey",
                "kms:GenerateDataKeyWithoutPlaintext",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
            ],
            resources=[kms_key_arn],
        ),
        # EC2 attaches encrypted EBS volumes with a KMS grant.
        Allow(
            actions=["kms:CreateGrant"],
            resources=[kms_key_arn],
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
        # EC2 creates its role for spot instances with the first one of an account.
        _grant_service_linked_role(account_id, SPOT, "AWSServiceRoleForEC2Spot"),
    ]


def _grant_service_linked_role(account_id: pulumi.Input[str], service: str, role: str) -> Allow:
    """Permission to create one service-linked role."""
    return Allow(
        actions=["iam:CreateServiceLinkedRole"],
        resources=[
            pulumi.Output.concat("arn:aws:iam::", account_id, f":role/aws-service-role/{service}/{role}")
        ],
        conditions={"StringEquals": {"iam:AWSServiceName": service}},
    )
