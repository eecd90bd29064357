"""Preparation slice: private network, Spark job and its scheduler (raw interactions to prepared runs)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pulumi

from components.archives import file_asset, folder_files
from components.dead_letter_queue import DeadLetterQueue
from components.iam import Allow, PrincipalRole, PrincipalRoleArgs
from components.network import Network, NetworkArgs
from components.packing import zip_bytes
from components.private_bucket import PrivateBucket
from components.schedule import SCHEDULED_TIME, Schedule, ScheduleArgs
from components.spark.buckets import emr_buckets
from components.spark.job import SparkJob, SparkJobArgs
from components.spark.permissions import ClusterPermissions, node_key
from components.spark.security import EMR_TAGS
from ml import contract
from stacks import paths
from stacks.sections import NetworkConfig, Tags
from stacks.spark_packages import spark_packages
from stacks.spark_sections import FeatureStoreConfig, SparkConfig
from stacks.storage import Storage

EMR_LOGS_PREFIX = "emr/"


@dataclass(frozen=True, kw_only=True)
class PreparationArgs:
    """Arguments of `Preparation`.

    Attributes:
        stage_name: part of the job's name.
        region: region of the network.
        network, spark, feature_store: sections of the stage configuration.
        tags: tags of the clusters.
        storage: the buckets and the key.
        alarm_topic_arn: topic that is notified of failed launches.
    """

    stage_name: str
    region: str
    network: NetworkConfig
    spark: SparkConfig
    feature_store: FeatureStoreConfig | None
    tags: Tags
    storage: Storage
    alarm_topic_arn: pulumi.Input[str]


class Preparation(pulumi.ComponentResource):
    """Spark job in a private network; Airflow or an EventBridge schedule launches its clusters.

    Creates: Network, SparkJob, and Schedule or PrincipalRole, depending on the scheduler.
    """

    job: SparkJob
    job_name: str
    network: Network
    airflow_role_arn: pulumi.Output[str] | None
    dead_letter_queues: dict[str, DeadLetterQueue]

    def __init__(self, name: str, args: PreparationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:slice:Preparation", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.job_name = f"ncf-{args.stage_name}-preparation"
        self.network = Network(
            "network",
            NetworkArgs(
                account_id=args.storage.key.account_id,
                region=args.region,
                cidr_block=args.network.cidr_block,
                availability_zones=args.network.availability_zones,
                interface_endpoints=interface_endpoints(args),
                service_buckets=emr_buckets(args.region),
                subnet_tags=EMR_TAGS,
            ),
            child,
        )
        self.job = SparkJob("preparation", self._job(args, self.network), child)
        self.airflow_role_arn, self.dead_letter_queues = None, {}
        if args.spark.scheduler == "eventbridge":
            self.dead_letter_queues["preparation schedule"] = self._schedule(args, child).dead_letter_queue
        elif args.spark.airflow_principal_arn is not None:
            self.airflow_role_arn = PrincipalRole(
                "airflow",
                PrincipalRoleArgs(
                    principal_arn=args.spark.airflow_principal_arn,
                    allows=airflow_role(args.storage, self.job.permissions, args.alarm_topic_arn),
                ),
                child,
            ).arn
        self.register_outputs({})

    def _schedule(self, args: PreparationArgs, child: pulumi.ResourceOptions) -> Schedule:
        return Schedule(
            "preparation-schedule",
            ScheduleArgs(
                description=f"Launches {self.job_name}",
                expression=args.spark.cron,
                timezone=args.spark.timezone,
                action="emr:runJobFlow",
                # The job accepts the ISO 8601 time that Scheduler inserts as run id.
                input=self.job.document.apply(
                    lambda text: text.replace(contract.RUN_ID_PLACEHOLDER, SCHEDULED_TIME)
                ),
                allows=self.job.permissions.grant_launch(),
                account_id=args.storage.key.account_id,
                alarm_topic_arn=args.alarm_topic_arn,
            ),
            child,
        )

    def _job(self, args: PreparationArgs, network: Network) -> SparkJobArgs:
        spark, storage, store = args.spark, args.storage, args.feature_store
        package = {
            f"{paths.ML_PACKAGE.name}/{name}": path.read_bytes()
            for name, path in folder_files(paths.ML_PACKAGE).items()
        }
        return SparkJobArgs(
            job_name=self.job_name,
            release=spark.release,
            code_bucket=storage.artifacts.name,
            code_prefix=contract.SPARK_PREFIX,
            package=file_asset(paths.BUILD / "ml.zip", zip_bytes(package)),
            packages=spark_packages(paths.SPARK_PACKAGES, paths.SPARK_LOCK),
            entry=pulumi.FileAsset(str(paths.SPARK_ENTRY)),
            arguments=[
                "--input",
                pulumi.Output.concat("s3://", storage.data.name, "/", contract.RAW_PREFIX),
                "--output",
                pulumi.Output.concat("s3://", storage.data.name, "/", contract.PREPARED_PREFIX),
                "--scratch",
                pulumi.Output.concat("s3://", storage.data.name, "/", contract.SCRATCH_PREFIX),
                "--run-id",
                contract.RUN_ID_PLACEHOLDER,
                *spark.job.arguments(),
                *(store.arguments() if store else []),
            ],
            document_key=contract.RUN_JOB_FLOW_KEY,
            log_bucket=storage.logs.name,
            log_prefix=EMR_LOGS_PREFIX,
            kms_key_arn=storage.key.arn,
            certificates_uri=spark.certificates_uri,
            node_allows=preparation_nodes_role(storage, store),
            account_id=storage.key.account_id,
            vpc_id=network.vpc_id,
            subnet_ids=network.subnet_ids,
            s3_prefix_list_id=network.s3_prefix_list_id,
            endpoints_security_group_id=network.endpoints_security_group_id,
            database=store.servers() if store else None,
            cluster=spark.cluster,
            tags=args.tags.model_dump(),
        )


def interface_endpoints(args: PreparationArgs) -> list[str]:
    """Services that the nodes reach: those of the stage, and Secrets Manager with a feature store."""
    services = [*args.network.interface_endpoints, *(["secretsmanager"] if args.feature_store else [])]
    return list(dict.fromkeys(services))


def preparation_nodes_role(storage: Storage, store: FeatureStoreConfig | None) -> list[Allow]:
    """Permissions of the nodes: read raw interactions, code and the secret; write runs and logs."""
    data, artifacts = storage.data, storage.artifacts
    # Hadoop also requests the key of a folder without the trailing slash.
    raw = contract.RAW_PREFIX.rstrip("/")
    written = [contract.PREPARED_PREFIX.rstrip("/"), contract.SCRATCH_PREFIX.rstrip("/")]
    return [
        data.grant_read(raw),
        data.grant_list(raw),
        *(grant(prefix) for prefix in written for grant in _grants_to_write(data)),
        data.grant_list_uploads(),
        artifacts.grant_read(contract.SPARK_PREFIX),
        artifacts.grant_list(contract.SPARK_PREFIX.rstrip("/")),
        storage.logs.grant_write(EMR_LOGS_PREFIX),
        node_key(storage.key.arn),
        *(grant_read_secret(storage, store) if store else []),
    ]


def _grants_to_write(bucket: PrivateBucket) -> list[Callable[[str], Allow]]:
    return [
        bucket.grant_read,
        bucket.grant_write,
        bucket.grant_abort_uploads,
        bucket.grant_delete,
        bucket.grant_list,
    ]


def grant_read_secret(storage: Storage, store: FeatureStoreConfig) -> list[Allow]:
    """Permissions to read the feature store's secret, and to decrypt it if it has its own key."""
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


def airflow_role(
    storage: Storage, clusters: ClusterPermissions, alarm_topic_arn: pulumi.Input[str]
) -> list[Allow]:
    """Permissions of the Airflow DAG: launch and manage clusters, check the run, publish failures."""
    return [
        *clusters.grant_launch(),
        *clusters.grant_manage(),
        storage.artifacts.grant_read_object(contract.RUN_JOB_FLOW_KEY),
        storage.artifacts.grant_list_all(),
        storage.logs.grant_read(EMR_LOGS_PREFIX),
        storage.logs.grant_list_all(),
        *storage.grant_read_prepared_runs(),
        Allow(actions=["sns:Publish"], resources=[alarm_topic_arn]),
        storage.key.grant_encrypt(),  # SNS encrypts a message with the publisher's permissions on the key
    ]
