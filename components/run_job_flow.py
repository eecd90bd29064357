"""The parts of EMR's RunJobFlow document that describe a transient cluster and its one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi

from components.spark_security import ClusterSecurity

# Spark encrypts its own traffic and shuffle files with secrets that YARN makes anew for each
# application (Spark 3.5 security guide), so that no certificate has to be kept for it.
SPARK_DEFAULTS = {
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.io.encryption.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    # YARN starts a failed driver again by default; a second try of a bad run only doubles the bill.
    "spark.yarn.maxAppAttempts": "1",
}
CONFIGURATIONS = [
    {"Classification": "spark", "Properties": {"maximizeResourceAllocation": "true"}},
    {"Classification": "spark-defaults", "Properties": SPARK_DEFAULTS},
]


@dataclass(frozen=True, kw_only=True)
class NodeGroup:
    """Nodes of one role.

    Args:
        instance_type, count: what and how many; 0 only for task nodes.
        market: ``SPOT`` is for task nodes, which hold no data.
    """

    instance_type: str = "r5.xlarge"
    count: int
    market: Literal["ON_DEMAND", "SPOT"] = "ON_DEMAND"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The nodes of a cluster; the defaults are those of the post."""

    primary: NodeGroup = NodeGroup(count=1)
    core: NodeGroup = NodeGroup(count=2)
    task: NodeGroup = NodeGroup(count=2)

    def __post_init__(self) -> None:
        if self.primary.count not in (1, 3):
            raise ValueError(f"primary: {self.primary.count} nodes; EMR takes 1, or 3 for high availability")
        if self.core.count < 1:
            raise ValueError("core: at least one node must hold the data")
        if "SPOT" in (self.primary.market, self.core.market):
            raise ValueError("primary and core: SPOT nodes take the run with them; use it for task nodes")


def instances(cluster: Cluster, subnet_id: pulumi.Input[str], security: ClusterSecurity) -> dict[str, Any]:
    """``Instances`` of RunJobFlow: groups of nodes in a private subnet that end with the last step."""
    groups = (
        ("MASTER", "Primary", cluster.primary),
        ("CORE", "Core", cluster.core),
        ("TASK", "Task", cluster.task),
    )
    return {
        "InstanceGroups": [
            {
                "Name": title,
                "InstanceRole": role,
                "InstanceType": group.instance_type,
                "InstanceCount": group.count,
                "Market": group.market,
            }
            for role, title, group in groups
            if group.count
        ],
        "Ec2SubnetId": subnet_id,
        "EmrManagedMasterSecurityGroup": security.primary_group_id,
        "EmrManagedSlaveSecurityGroup": security.core_group_id,
        "ServiceAccessSecurityGroup": security.service_group_id,
        "KeepJobFlowAliveWhenNoSteps": False,
        "TerminationProtected": False,
    }


def spark_step(
    step_name: str,
    package_uri: pulumi.Input[str],
    entry_uri: pulumi.Input[str],
    arguments: Sequence[pulumi.Input[str]],
) -> dict[str, Any]:
    """A step that submits a Python script and its package to YARN."""
    return {
        "Name": step_name,
        # A step that CONTINUEs hides its failure: nobody would hear that the run is missing.
        "ActionOnFailure": "TERMINATE_CLUSTER",
        "HadoopJarStep": {
            "Jar": "command-runner.jar",
            "Args": [
                "spark-submit",
                "--deploy-mode",
                "cluster",
                "--py-files",
                package_uri,
                entry_uri,
                *arguments,
            ],
        },
    }
