"""The RunJobFlow document of EMR: a transient cluster and its one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.spark.cluster import Cluster
from components.spark.security import ClusterSecurity

ENVIRONMENT = "environment"  # the folder, in each container's own, that the packages are unpacked to
# Spark encrypts its own traffic and shuffle files with secrets that YARN makes anew for each
# application (Spark 3.5 security guide), so that no certificate has to be kept for it.
ENCRYPTION = {
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.io.encryption.enabled": "true",
}
SPARK_DEFAULTS = {
    **ENCRYPTION,
    "spark.sql.session.timeZone": "UTC",
    # YARN starts a failed driver again by default; a second try of a bad run only doubles the bill.
    "spark.yarn.maxAppAttempts": "1",
}
YARN_SITE = {
    # The node managers' shuffle service reads its side of Spark's encryption here (YarnShuffleService).
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    # The driver runs in a container and must not go with a spot node. EMR 7 leaves labels off by default.
    "yarn.node-labels.enabled": "true",
    "yarn.node-labels.am.default-node-label-expression": "CORE",
}


@dataclass(frozen=True, kw_only=True)
class Code:
    """Where the published code lies.

    Args:
        package: the Python package as a zip.
        packages: the third-party packages as a zip, built for the nodes' Python and processor.
        entry: the script that spark-submit runs.
    """

    package: pulumi.Input[str]
    packages: pulumi.Input[str]
    entry: pulumi.Input[str]


def configurations(cluster: Cluster) -> list[dict[str, Any]]:
    """``Configurations`` of RunJobFlow: Spark's sizes, its encryption, and where its driver may run."""
    spark = {**SPARK_DEFAULTS, **cluster.sizing().properties()}
    return [
        {"Classification": "spark-defaults", "Properties": spark},
        {"Classification": "yarn-site", "Properties": YARN_SITE},
    ]


def instances(
    cluster: Cluster, subnet_ids: Sequence[pulumi.Input[str]], security: ClusterSecurity
) -> dict[str, Any]:
    """``Instances`` of RunJobFlow: fleets in whichever private subnet has them, until the last step."""
    return {
        "InstanceFleets": cluster.instance_fleets(),
        "Ec2SubnetIds": list(subnet_ids),
        "EmrManagedMasterSecurityGroup": security.primary_group_id,
        "EmrManagedSlaveSecurityGroup": security.core_group_id,
        "ServiceAccessSecurityGroup": security.service_group_id,
        "KeepJobFlowAliveWhenNoSteps": False,
        "TerminationProtected": False,
    }


def spark_step(step_name: str, code: Code, arguments: Sequence[pulumi.Input[str]]) -> dict[str, Any]:
    """A step that submits a Python script, its package and what that imports to YARN.

    In cluster mode the driver runs in a container, as executors do: all find the packages in the same place.
    """
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
                code.package,
                "--archives",
                pulumi.Output.concat(code.packages, "#", ENVIRONMENT),
                "--conf",
                f"spark.yarn.appMasterEnv.PYTHONPATH=./{ENVIRONMENT}",
                "--conf",
                f"spark.executorEnv.PYTHONPATH=./{ENVIRONMENT}",
                code.entry,
                *arguments,
            ],
        },
    }
