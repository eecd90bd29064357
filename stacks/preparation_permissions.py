"""What the Spark job's nodes may do, and an Airflow that launches them from outside."""

from __future__ import annotations

import pulumi

from components.iam import Allow
from components.spark.permissions import ClusterPermissions
from ml import contract
from stacks.permissions import prepared_runs
from stacks.spark_sections import FeatureStoreConfig
from stacks.storage import Storage

EMR_LOGS_PREFIX = "emr/"


def preparing(storage: Storage, store: FeatureStoreConfig | None) -> list[Allow]:
    """The Spark job's nodes: read raw interactions and code, write runs and logs, and open the one secret."""
    data, artifacts = storage.data, storage.artifacts
    # Hadoop looks a folder up as the key without its slash, so that one is granted too.
    raw, prepared = contract.RAW_PREFIX.rstrip("/"), contract.PREPARED_PREFIX.rstrip("/")
    return [
        data.read(raw),
        data.list_keys(raw),
        data.read(prepared),
        data.write(prepared),
        data.delete(prepared),
        data.list_keys(prepared),
        data.list_uploads(),
        artifacts.read(contract.SPARK_PREFIX),
        artifacts.list_keys(contract.SPARK_PREFIX.rstrip("/")),
        storage.logs.write(EMR_LOGS_PREFIX),
        storage.key.encrypt(),
        *(_opening_secret(storage, store) if store else []),
    ]


def _opening_secret(storage: Storage, store: FeatureStoreConfig) -> list[Allow]:
    allows = [Allow(actions=["secretsmanager:GetSecretValue"], resources=[store.secret_arn])]
    if store.kms_key_arn is not None:
        via = pulumi.Output.format("secretsmanager.{0}.amazonaws.com", storage.key.region)
        allows.append(
            Allow(
                actions=["kms:Decrypt"],
                resources=[store.kms_key_arn],
                conditions={
                    "StringEquals": {
                        "kms:ViaService": via,
                        "kms:EncryptionContext:SecretARN": store.secret_arn,
                    }
                },
            )
        )
    return allows


def launching_from_outside(
    storage: Storage, clusters: ClusterPermissions, alarm_topic_arn: pulumi.Input[str]
) -> list[Allow]:
    """Airflow's DAG: reads the document, launches, follows and ends its clusters, checks the run, tells."""
    return [
        *clusters.launch(),
        *clusters.follow(),
        storage.artifacts.read(contract.RUN_JOB_FLOW_KEY),
        storage.artifacts.tell_missing(),
        storage.logs.read(EMR_LOGS_PREFIX),
        storage.logs.tell_missing(),
        *prepared_runs(storage),
        Allow(actions=["sns:Publish"], resources=[alarm_topic_arn]),
        # A message to an encrypted topic is encrypted by its sender.
        Allow(actions=["kms:GenerateDataKey"], resources=[storage.key.arn]),
    ]
