"""What EMR, and whoever launches and follows its clusters, may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.iam import Allow, Conditions, pass_role

EMR, EC2, SPOT = "elasticmapreduce.amazonaws.com", "ec2.amazonaws.com", "spot.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class ClusterPermissions:
    """Grants on the clusters of one job.

    Args:
        account_id: whose clusters.
        service_role_arn, node_role_arn: what a cluster is handed.
        tags: what every cluster of the job carries.
    """

    account_id: pulumi.Input[str]
    service_role_arn: pulumi.Input[str]
    node_role_arn: pulumi.Input[str]
    tags: Mapping[str, str]

    def launch(self) -> list[Allow]:
        """Launching a run by a role of one's own."""
        return [
            Allow(
                actions=["elasticmapreduce:RunJobFlow"],
                resources=["*"],
                reason="RunJobFlow has no resource-level permissions: the cluster doesn't exist yet",
                conditions=self._tagged("RequestTag"),
            ),
            # RunJobFlow asks for it, since its document has tags.
            Allow(
                actions=["elasticmapreduce:AddTags"],
                resources=[self._clusters()],
                conditions=self._tagged("RequestTag"),
            ),
            # RunJobFlow asks for these when its document has the policies.
            Allow(
                actions=[
                    "elasticmapreduce:PutAutoTerminationPolicy",
                    "elasticmapreduce:PutManagedScalingPolicy",
                ],
                resources=[self._clusters()],
            ),
            # EMR's clean-up role is made with the first cluster of an account.
            _service_linked_role(self.account_id, EMR, "AWSServiceRoleForEMRCleanup"),
            pass_role(self.service_role_arn, EMR),
            pass_role(self.node_role_arn, EC2),
        ]

    def follow(self) -> list[Allow]:
        """Finding the job's clusters, looking at them and ending them."""
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

    def _tagged(self, which: str) -> Conditions:
        """A request, or a cluster, with every tag of the job's clusters."""
        tags = {f"elasticmapreduce:{which}/{key}": value for key, value in self.tags.items()}
        return {"StringEquals": tags}

    def _clusters(self) -> pulumi.Output[str]:
        return pulumi.Output.concat("arn:aws:elasticmapreduce:*:", self.account_id, ":cluster/*")


def serving_emr(
    account_id: pulumi.Input[str], node_role_arn: pulumi.Input[str], kms_key_arn: pulumi.Input[str]
) -> list[Allow]:
    """EMR's own role, beside the policy that AWS keeps for it: the nodes' role, their disks, spot nodes."""
    return [
        pass_role(node_role_arn, EC2),
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
        # EBS volumes of the nodes are opened by a grant to EC2.
        Allow(
            actions=["kms:CreateGrant"],
            resources=[kms_key_arn],
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
        # EC2's role for spot nodes is made with the first of an account.
        _service_linked_role(account_id, SPOT, "AWSServiceRoleForEC2Spot"),
    ]


def _service_linked_role(account_id: pulumi.Input[str], service: str, role: str) -> Allow:
    """Having a service make its own role, and that role only."""
    return Allow(
        actions=["iam:CreateServiceLinkedRole"],
        resources=[
            pulumi.Output.concat("arn:aws:iam::", account_id, f":role/aws-service-role/{service}/{role}")
        ],
        conditions={"StringEquals": {"iam:AWSServiceName": service}},
    )
