"""Parts of the EMR RunJobFlow request for a transient cluster with one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.spark.cluster import Cluster
from components.spark.security import ClusterSecurity

ENVIRONMENT = "environment"  # folder that YARN unpacks the packages to, in the container's working directory
# Spark encrypts its traffic and shuffle files with a secret that YARN generates per application (Spark 3.5
# security guide), which needs no certificates.
ENCRYPTION = {
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.io.encryption.enabled": "true",
}
SPARK_DEFAULTS = {
    **ENCRYPTION,
    "spark.sql.session.timeZone": "UTC",
    # By default YARN restarts a failed driver; a second attempt at invalid input doubles the cost.
    "spark.yarn.maxAppAttempts": "1",
}
YARN_SITE = {
    # The node managers' shuffle service (YarnShuffleService) reads its encryption settings from yarn-site.
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    # Place the driver on core nodes, which are not interrupted. EMR 7 disables node labels by default.
    "yarn.node-labels.enabled": "true",
    "yarn.node-labels.am.default-node-label-expression": "CORE",
}


@dataclass(frozen=True, kw_only=True)
class Code:
    """S3 URIs of the published code.

    Attributes:
        package: the Python package as a zip.
        packages: the third-party packages as a zip, built for the nodes' Python and processor.
        entry: script that spark-submit runs.
    """

    package: pulumi.Input[str]
    packages: pulumi.Input[str]
    entry: pulumi.Input[str]


def configurations(cluster: Cluster) -> list[dict[str, Any]]:
    """``Configurations`` of RunJobFlow: sizes, encryption and the placement of the driver."""
    spark = {**SPARK_DEFAULTS, **cluster.sizing().properties()}
    return [
        {"Classification": "spark-defaults", "Properties": spark},
        {"Classification": "yarn-site", "Properties": YARN_SITE},
    ]


def instances(
    cluster: Cluster, subnet_ids: Sequence[pulumi.Input[str]], security: ClusterSecurity
) -> dict[str, Any]:
    """``Instances`` of RunJobFlow: instance fleets in one of the subnets, terminated after the last step."""
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
    """``Steps`` entry of RunJobFlow that runs spark-submit with a Python script and its packages.

    In cluster mode the driver runs in a YARN container, so that driver and executors find the packages under
    the same relative path.
    """
    return {
        "Name": step_name,
        # With CONTINUE the cluster ends as if the step had succeeded, and no alarm reports the missing run.
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
